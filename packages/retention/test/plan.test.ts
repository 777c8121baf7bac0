import assert from "node:assert/strict"
import test from "node:test"
import { encodeRanges, type KeepRule, rangeNumbers, type Use } from "@backup-cloud/format"
import fc from "fast-check"
import { DAY, keepReasons, planExpiry, provedKey, type RunState } from "../src/index.ts"
import { carriedOut, DOCS, daysAfter, plan, policyOf, runOf, SETTLED, sourceOf, stay, time } from "./runs.ts"

const START = time("2026-01-01")
/** One run at noon of each day. */
const daily = (days: number, from = START): RunState[] =>
  Array.from({ length: days }, (_, day) => runOf(`day ${day}`, daysAfter(from, day)))
const dates = (runs: readonly RunState[]): string[] => runs.map(({ arrived }) => arrived.toISOString().slice(0, 10))
const use = (of: RunState, volumes: string, catalogues = ""): Use => ({
  ...{ run: of.run, sums: of.sums, volumes, catalogues },
})

test("a source without a keep rule keeps everything, however old; so does one with something wrong", () => {
  const runs = daily(400)
  const now = daysAfter(START, 5000)
  assert.deepEqual(plan(policyOf(null), runs, now).runs, [])
  assert.deepEqual(
    plan(policyOf(null), runs, now).passed.map(({ source }) => source),
    [DOCS],
  )
  const blocked = { sources: [sourceOf(runs, { blocked: "backup/docs/: is not as it was" })] }
  assert.deepEqual(plan(policyOf({}), runs, now, blocked).runs, [])
  assert.equal(plan(policyOf({}), runs, now).runs.length, 399, "with a rule and nothing wrong they go")
})

test("nothing goes that is younger than horizon and grace, or than what the policy guarantees", () => {
  const runs = daily(100)
  const now = daysAfter(START, 99)
  const left = stay(plan(policyOf({}), runs, now), runs)
  assert.deepEqual(dates(left), dates(runs.slice(99 - SETTLED)))
  assert.equal(left.length, SETTLED + 1, "the younger ones and the one that is never too few")
  const guaranteed = { rules: { horizon_days: 20, grace_days: 10, retention_days: 60 } }
  assert.equal(stay(plan(policyOf({}, guaranteed), runs, now), runs).length, 61)
})

const tables: [string, Partial<KeepRule>, string[]][] = [
  ["minimum alone", { minimum: 3 }, ["2027-11-30", "2027-12-01", "2027-12-02"]],
  ["last", { last: 2 }, ["2027-12-01", "2027-12-02"]],
  ["yearly", { yearly: 3 }, ["2026-01-01", "2027-01-01", "2027-12-02"]],
  ["monthly", { monthly: 4 }, ["2027-10-01", "2027-11-01", "2027-12-01", "2027-12-02"]],
  ["weekly, from Monday", { weekly: 7 }, ["2027-11-15", "2027-11-22", "2027-11-29", "2027-12-02"]],
  ["daily", { daily: 33 }, ["2027-11-30", "2027-12-01", "2027-12-02"]],
  ["hourly", { hourly: 24 * 31 }, ["2027-12-02"]],
  ["within", { within_days: 32 }, ["2027-12-01", "2027-12-02"]],
  ["several at once", { yearly: 2, monthly: 3 }, ["2027-01-01", "2027-11-01", "2027-12-01", "2027-12-02"]],
]
for (const [name, rule, expected] of tables)
  test(`of two years of daily runs, ${name} keeps besides the young`, () => {
    const runs = daily(731)
    const now = time("2028-01-01T13:00:00")
    const left = stay(plan(policyOf(rule), runs, now), runs)
    const young = runs.filter(({ arrived }) => now.getTime() - arrived.getTime() < SETTLED * DAY)
    assert.deepEqual(dates(left), [...expected, ...dates(young)])
  })

test("years of expiring every day keep what expiring once at the end would", () => {
  const rule = { yearly: 3, monthly: 6, weekly: 4, last: 2 }
  const all = daily(900)
  let runs: RunState[] = []
  for (const [day, run] of all.entries()) {
    runs.push(run)
    runs = carriedOut(plan(policyOf(rule), runs, daysAfter(START, day + 0.1)), runs)
  }
  const end = daysAfter(START, 899.1)
  assert.deepEqual(
    dates(runs.filter(({ expired }) => expired === null)),
    dates(stay(plan(policyOf(rule), all, end), all)),
  )
})

test("of a period the earliest complete run stays; a proved one before it; a partial one only alone", () => {
  const now = time("2027-01-01")
  const [a, b, c] = ["2026-03-02", "2026-03-10", "2026-03-20"].map((day) => runOf(day, time(day))) as [
    RunState,
    RunState,
    RunState,
  ]
  const later = runOf("later", time("2026-05-01"))
  const left = (runs: RunState[], proved: RunState[] = []): string[] =>
    dates(stay(plan(policyOf({ monthly: 12 }), runs, now, { proved: new Set(proved.map(provedKey)) }), runs)).filter(
      (date) => date < "2026-04",
    )
  assert.deepEqual(left([a, b, c, later]), ["2026-03-02"])
  assert.deepEqual(left([a, b, c, later], [b]), ["2026-03-10"])
  assert.deepEqual(left([a, b, c, later], [c, b]), ["2026-03-10"])
  assert.deepEqual(left([{ ...a, outcome: "partial" }, b, c, later]), ["2026-03-10"])
  assert.deepEqual(left([{ ...a, outcome: "partial" }, b, c, later], [a]), ["2026-03-10"])
  assert.deepEqual(left([{ ...a, outcome: "partial" }, later]), ["2026-03-02"])
  assert.deepEqual(left([{ ...a, outcome: "checkpoint" }, { ...b, outcome: "failed" }, c, later]), ["2026-03-20"])
  assert.deepEqual(
    left([{ ...a, sound: false }, b, later]),
    ["2026-03-02", "2026-03-10"],
    "damaged ones stay, and count not",
  )
})

test("never fewer complete runs than the minimum, on however few days they came", () => {
  const runs = [0, 1, 2, 3, 4].map((hour) => runOf(`hour ${hour}`, daysAfter(START, hour / 24)))
  const now = daysAfter(START, 1000)
  for (const minimum of [1, 2, 4, 5, 9]) {
    const left = stay(plan(policyOf({ minimum }), runs, now), runs)
    assert.equal(left.length, Math.min(minimum, 5))
  }
  const partial = runs.map((run, i): RunState => (i === 0 ? run : { ...run, outcome: "partial" }))
  assert.deepEqual(stay(plan(policyOf({}), partial, now), partial), [runs[0]])
})

test("a hold keeps a run, or all, until it ends or is released", () => {
  const runs = daily(3)
  const now = daysAfter(START, 1000)
  const held = (run: string, until: string): number =>
    stay(plan(policyOf({}, { holds: [{ source: DOCS, run, name: "court", until }] }), runs, now), runs).length
  assert.equal(held(runs[0]!.run, ""), 2)
  assert.equal(held("", ""), 3)
  assert.equal(held("", "2030-01-01T00:00:00Z"), 3)
  assert.equal(held("", "2026-06-01T00:00:00Z"), 1)
  const other = { holds: [{ source: "mail", run: "", name: "court", until: "" }] }
  assert.equal(stay(plan(policyOf({}, other), runs, now), runs).length, 1)
})

test("what a kept run uses stays, its key too; it goes when nothing uses it any more, and is named again then", () => {
  const [old, middle, last] = daily(3) as [RunState, RunState, RunState]
  const kept = { ...last, uses: [use(old, "2,4"), use(middle, "", "1")] }
  const now = daysAfter(START, 1000)
  const runs = [old, middle, kept]
  const first = plan(policyOf({}), runs, now)
  assert.deepEqual(
    first.runs.map(({ run, key, roots, volumes, catalogues }) => [run, key, roots, volumes, catalogues]),
    [
      [old.run, false, true, "1,3", "1"],
      [middle.run, false, true, "1-4", ""],
    ],
  )
  const newer = runOf("newer", daysAfter(START, 100))
  const after = [...carriedOut(first, runs), newer]
  assert.deepEqual(
    plan(policyOf({}), after, now).runs.map(({ run, key, roots, volumes, catalogues }) => [
      run,
      key,
      roots,
      volumes,
      catalogues,
    ]),
    [
      [old.run, true, false, "2,4", ""],
      [middle.run, true, false, "", "1"],
      [kept.run, true, true, "1-4", "1"],
    ],
  )
})

test("a flood in an hour pushes out nothing, even once it is old; a flood of days takes no place of the past", () => {
  const good = daily(400)
  const rule = { last: 5, daily: 90, weekly: 20, monthly: 24, yearly: 5, minimum: 3 }
  const attack = daysAfter(START, 400)
  const flood = Array.from({ length: 5000 }, (_, i) => runOf(`flood ${i}`, new Date(attack.getTime() + 700 * i)))
  for (const wait of [0, 1, SETTLED + 1]) {
    const now = daysAfter(attack, wait)
    const without = stay(plan(policyOf(rule), good, now), good)
    const all = [...good, ...flood]
    const left = new Set(stay(plan(policyOf(rule), all, now), all))
    const lost = without.filter((run) => !left.has(run))
    // One day's flood is one day with a run, as an ordinary run of that day would be.
    assert.ok(lost.length <= (wait > SETTLED ? 2 : 0), `${lost.length} after ${wait} days`)
    if (wait > SETTLED) assert.ok(left.size < without.length + 10, "and it goes as others do")
  }
  const floodOfDays = daily(25, attack).map((run) => ({ ...run, run: run.run.replace(/.$/, "f") }))
  const now = daysAfter(attack, 25)
  const without = stay(plan(policyOf(rule), good, now), good)
  const all = [...good, ...floodOfDays]
  const left = new Set(stay(plan(policyOf(rule), all, now), all))
  assert.deepEqual(
    without.filter((run) => !left.has(run)),
    [],
    "what is not settled takes no place at all",
  )
})

test("a fresh complete run takes no partial one's place before it is settled", () => {
  const legit: RunState = { ...runOf("legit", time("2026-02-01")), outcome: "partial" }
  const thief = runOf("thief", time("2026-12-20"))
  const other = runOf("other", time("2026-06-20"), { outcome: "partial" })
  const runs = [legit, other, thief]
  const policy = policyOf({ yearly: 5 })
  assert.ok(stay(plan(policy, runs, time("2026-12-21")), runs).includes(legit))
  assert.ok(!stay(plan(policy, runs, time("2027-03-21")), runs).includes(legit))
})

test("the time in a run's id counts for nothing, only its arrival", () => {
  const good = daily(60)
  const now = daysAfter(START, 1000)
  const policy = policyOf({ monthly: 100 })
  // Signed today, and said to be of years ago.
  const backdated = Array.from({ length: 60 }, (_, i) =>
    runOf(`fake ${i}`, daysAfter(START, 990), { run: `2020010${i % 9}T000000Z-000000${i + 10}` }),
  )
  const all = [...good, ...backdated]
  const kept = stay(plan(policy, good, now), good)
  assert.deepEqual(
    stay(plan(policy, all, now), all).filter((run) => good.includes(run)),
    kept,
  )
})

test("orphans go once they are older than grace; not what is named, held or of a source without a rule", () => {
  const now = daysAfter(START, 11)
  const orphan = (id: string, days: number, more: Partial<RunState> = {}): RunState =>
    runOf(id, daysAfter(START, days), { outcome: "orphan", sums: "", ...more })
  const [old, young, odd] = [orphan("old", 0), orphan("young", 5), orphan("odd", 0, { sound: false })]
  const given = plan(policyOf({}), [old, young, odd], now)
  assert.deepEqual(given.runs, [
    { source: DOCS, run: old.run, sums: "", key: true, roots: true, volumes: "1-4", catalogues: "1" },
  ])
  assert.deepEqual(plan(policyOf(null), [old], now).runs, [])
  assert.deepEqual(plan(policyOf({}), [{ ...old, expired: old.has }], now).runs, [], "named once is enough")
  const holds = [{ source: DOCS, run: old.run, name: "evidence", until: "" }]
  assert.deepEqual(plan(policyOf({}, { holds }), [old], now).runs, [])
})

test("state of old runs goes, but not the newest run's", () => {
  const runs = daily(3)
  const states = runs.map(({ run, arrived }) => ({ run, arrived }))
  const of = (now: Date): string[] =>
    planExpiry({ policy: policyOf({}), sources: [sourceOf(runs, { states })], proved: new Set(), now }).states.map(
      ({ run }) => run,
    )
  assert.deepEqual(of(daysAfter(START, SETTLED)), [])
  assert.deepEqual(of(daysAfter(START, SETTLED + 0.5)), [runs[0]!.run])
  assert.deepEqual(of(daysAfter(START, 1000)), [runs[0]!.run, runs[1]!.run])
})

const anyRule = fc.record({
  ...{ last: fc.nat(5), hourly: fc.nat(30), daily: fc.nat(30), weekly: fc.nat(10), monthly: fc.nat(10) },
  ...{ yearly: fc.nat(3), within_days: fc.nat(100), minimum: fc.integer({ min: 1, max: 5 }) },
})
const anyRun = fc.record({
  hours: fc.nat(24 * 500),
  outcome: fc.constantFrom("complete" as const, "partial" as const, "checkpoint" as const, "failed" as const),
  sound: fc.boolean(),
  proved: fc.boolean(),
  uses: fc.array(
    fc.record({ back: fc.integer({ min: 1, max: 6 }), volumes: fc.uniqueArray(fc.integer({ min: 1, max: 4 })) }),
    { maxLength: 3 },
  ),
})

test("whatever the rules and runs: nothing young goes, nothing used goes, the minimum stays, and it ends", () => {
  fc.assert(
    fc.property(anyRule, fc.array(anyRun, { maxLength: 30 }), fc.nat(600), (rule, given, day) => {
      const runs: RunState[] = []
      for (const [i, each] of given.toSorted((a, b) => a.hours - b.hours).entries()) {
        const uses = [...Map.groupBy(each.uses, ({ back }) => back)].flatMap(([back, all]) => {
          const other = runs[i - back]
          return other === undefined ? [] : [use(other, encodeRanges(all.flatMap(({ volumes }) => volumes)))]
        })
        const { outcome, sound } = each
        runs.push(runOf(`${i}`, daysAfter(START, each.hours / 24), { outcome, sound, uses }))
      }
      const proved = new Set(runs.filter((_, i) => given[i]?.proved === true).map(provedKey))
      const now = daysAfter(START, day)
      const policy = policyOf(rule)
      const made = plan(policy, runs, now, { proved })
      const left = stay(made, runs)
      const entries = new Map(made.runs.map((each) => [each.run, each]))
      for (const run of runs) if (now.getTime() - run.arrived.getTime() < SETTLED * DAY) assert.ok(left.includes(run))
      for (const run of left)
        for (const { run: used, volumes } of run.uses) {
          const entry = entries.get(used)
          const taken = [...rangeNumbers(entry?.volumes ?? "")]
          for (const number of rangeNumbers(volumes)) assert.ok(!taken.includes(number))
          if (volumes !== "") assert.notEqual(entry?.key, true)
        }
      const complete = (all: readonly RunState[]): number =>
        all.filter(
          ({ outcome, sound, arrived }) =>
            sound && outcome === "complete" && now.getTime() - arrived.getTime() >= SETTLED * DAY,
        ).length
      assert.ok(complete(left) >= Math.min(rule.minimum, complete(runs)))
      // Done once, there is nothing more to do.
      assert.deepEqual(plan(policy, carriedOut(made, runs), now, { proved }).runs, [])
      // Each reason that has a date ends then, unless another takes over.
      for (const reasons of keepReasons({ policy, source: DOCS, runs, proved: () => false, now }).values())
        for (const { until } of reasons) assert.ok(until === null || until > now)
    }),
    { numRuns: 300 },
  )
})
