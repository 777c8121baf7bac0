import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { names, type Policy, type PolicySource, type Receipt, type VerifierEntry } from "@backup-cloud/format"
import { memoryStore } from "@backup-cloud/store"
import type { JudgedRun } from "@backup-cloud/trust"
import { checkHorizon, MOST_RUNS, mayUse, Reuse } from "../src/reuse.ts"

const DAY = 86_400_000
const now = new Date("2026-11-24T00:00:00Z")
const [alice, bob, carol] = ["A".repeat(40), "B".repeat(40), "C".repeat(40)]
const signal = new AbortController().signal

const holder = (fingerprint: string, status: "present" | "retired" | "leaked") =>
  ({ fingerprint, status }) as Policy["holders"][number]
const verifier = (fingerprint: string, of: string) =>
  ({ fingerprint, status: "present", sources: [of] }) as unknown as VerifierEntry
const policy = {
  release: "any",
  holders: [holder(alice, "present"), holder(carol, "retired")],
  rules: { horizon_days: 90 },
} as Policy
const source = { name: "docs", fresh_after: "" } as PolicySource
const runName = (n: number): string => `20261101T000000Z-${n.toString(16).padStart(8, "0")}`

function earlier(daysOld: number, receipt: Partial<Receipt> = {}, n = 1): JudgedRun {
  const full = {
    release: "any",
    outcome: "complete",
    recipients: [alice, carol],
    started: "2026-11-01T00:00:00Z",
    ...receipt,
  }
  return {
    run: runName(n),
    receipt: full as Receipt,
    arrived: new Date(now.getTime() - daysOld * DAY),
    objects: new Map([[names.volume(1), { name: names.volume(1), length: 3, sha256: "" }]]),
    expired: null,
    problems: [],
  } as unknown as JudgedRun
}

test("a run is used only under the same rule, by the same holders, within the horizon", () => {
  assert.equal(mayUse(earlier(1), policy, source, now), true)
  const refused: [string, JudgedRun, Policy?, PolicySource?][] = [
    ["another rule", earlier(1, { release: "threshold" })],
    ["a failed run", earlier(1, { outcome: "failed" })],
    [
      "a present holder is no recipient",
      earlier(1),
      { ...policy, holders: [...policy.holders, holder(bob, "present")] },
    ],
    ["a recipient has leaked", earlier(1), { ...policy, holders: [holder(alice, "present"), holder(carol, "leaked")] }],
    ["a present verifier of the source is no recipient", earlier(1), { ...policy, verifiers: [verifier(bob, "docs")] }],
    ["at the horizon", earlier(90)],
    ["before fresh_after", earlier(1), policy, { ...source, fresh_after: "2026-11-02T00:00:00Z" }],
    ["an expiry list names it", { ...earlier(1), expired: 1 }],
    ["something is wrong with it", { ...earlier(1), problems: [{ fault: "tampered", object: "x", why: "y" }] }],
  ]
  for (const [why, run, under = policy, of = source] of refused) assert.equal(mayUse(run, under, of, now), false, why)
  const sealed = earlier(1, { recipients: [alice, bob, carol] })
  assert.equal(mayUse(sealed, { ...policy, verifiers: [verifier(bob, "docs")] }, source, now), true)
  for (const other of [verifier(bob, "mail"), { ...verifier(bob, "docs"), status: "retired" as const }])
    assert.equal(mayUse(earlier(1), { ...policy, verifiers: [other] }, source, now), true, other.status)
  assert.equal(mayUse(earlier(89.9), policy, source, now), true)
  assert.equal(mayUse(earlier(1), policy, { ...source, fresh_after: "2026-10-31T00:00:00Z" }, now), true)
})

async function open(runs: readonly JudgedRun[], stored: string): Promise<Reuse> {
  const store = memoryStore({ now: () => now })
  for (const run of runs) {
    const body = Buffer.from(stored)
    const name = names.runDirectory("docs", run.run) + names.volume(1)
    await store.create(name, [body], createHash("sha256").update(body).digest("hex"), signal)
  }
  return await Reuse.open(runs, policy, now, "docs", store, signal)
}

const ids = Array.from({ length: 400 }, (_, i) => createHash("sha256").update(String(i)).digest("hex"))
const place = { run: runName(1), volume: 1 }

test("a volume counts only if it lies there in the recorded length", async () => {
  assert.equal((await open([earlier(1)], "abc")).allows(ids[0] ?? "", place, names.volume), true)
  assert.equal((await open([earlier(1)], "ab")).allows(ids[0] ?? "", place, names.volume), false)
  const reuse = await open([earlier(1)], "abc")
  assert.equal(reuse.allows(ids[0] ?? "", { ...place, volume: 2 }, names.volume), false)
  assert.equal(reuse.allows(ids[0] ?? "", { ...place, run: runName(2) }, names.volume), false)
})

test("an ageing run gives up a share of its chunks each day, none twice, and all before the horizon", async () => {
  const kept = async (days: number): Promise<Set<string>> => {
    const reuse = await open([earlier(days)], "abc")
    return new Set(ids.filter((id) => reuse.allows(id, place, names.volume)))
  }
  assert.equal((await kept(59)).size, ids.length)
  const [younger, older, last] = [await kept(68), await kept(76), await kept(86)]
  assert.ok(younger.size < ids.length && older.size < younger.size && older.size > 0)
  for (const id of older) assert.ok(younger.has(id))
  assert.equal(last.size, 0)
})

test("at most 16 runs are used, the first ones given", async () => {
  const runs = Array.from({ length: 20 }, (_, i) => earlier(1, {}, i))
  const reuse = await open(runs, "abc")
  const used = runs.filter((run) => reuse.allows(ids[0] ?? "", { run: run.run, volume: 1 }, names.volume))
  assert.deepEqual(used, runs.slice(0, MOST_RUNS))
})

test("a run that reaches the horizon while it is used is noticed", () => {
  checkHorizon([earlier(89)], policy, now)
  assert.throws(
    () => {
      checkHorizon([earlier(91)], policy, now)
    },
    { fault: "conflict" },
  )
})
