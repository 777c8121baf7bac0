import assert from "node:assert/strict"
import { test } from "node:test"
import { FORMAT, type HeldRun, type MediumStatement } from "@backup-cloud/format"
import {
  foldStatements,
  makeStatement,
  overview,
  parseMounts,
  planSync,
  type SyncRun,
  waysToRestore,
} from "../src/index.ts"
import { run } from "./world.ts"

const id = (mark: string): string => mark.repeat(32)
const held = (day: number, holding: HeldRun["holding"]): HeldRun => ({
  ...{ source: "docs", run: run(day), number: 1, holding, volumes: "1-2", catalogues: "1" },
})

interface Disk {
  readonly mark: string
  readonly place: string
  readonly set?: string
  readonly mates?: readonly string[]
  readonly at: string
  readonly runs: readonly HeldRun[]
}

/** Statements of disks, each synced once. */
function stated(...disks: readonly Disk[]): Map<string, MediumStatement> {
  return new Map(
    disks.map(({ mark, place, set = mark, mates = [], at, runs }) => [
      `media/${mark}`,
      makeStatement({
        identity: {
          archive: id("0"),
          medium: id(mark),
          set: id(set),
          location_code: place,
          custodian_code: "00000000",
        },
        ...{ action: "sync", operator: "A".repeat(40), now: new Date(at), before: null, mates: mates.map(id) },
        ...{ used: 0, free: 0, policy: 1, expiries: 0, erasures: 0, heads: [], runs, problems: 0 },
      }),
    ]),
  )
}

const archived = (...days: number[]) =>
  days.map((day) => ({ source: "docs", run: run(day), arrived: new Date(`2026-11-0${day}T08:00:00Z`) }))
const rules = { copies: 3, locations: 2, offline: 1, max_age_days: 10 }
const now = new Date("2026-11-24T08:00:00Z")
const never = (): boolean => false

test("copies, places and losses are counted by what restores", () => {
  const media = foldStatements({
    all: stated(
      { mark: "a", place: "aaaaaaaa", at: "2026-11-20T08:00:00Z", runs: [held(1, "alone"), held(2, "alone")] },
      { mark: "b", place: "bbbbbbbb", at: "2026-11-01T08:00:00Z", runs: [held(1, "alone"), held(3, "part")] },
    ),
  })
  const view = overview(archived(1, 2, 3), media, rules, now, never)
  assert.deepEqual(
    view.nowhere.map((each) => each.run),
    [run(3)],
  )
  assert.deepEqual(
    view.failing.map(({ run: each, copies, locations, offline }) => [each, copies, locations, offline]),
    [
      [run(2), 2, 2, 1],
      [run(3), 1, 1, 0],
    ],
  )
  assert.deepEqual(Object.fromEntries(view.losses), { archive: 1, [id("a")]: 1, aaaaaaaa: 1 })
  assert.deepEqual(
    view.media.map(({ medium, runs, lacks, overdue }) => [medium.id, runs, lacks, overdue]),
    [
      [id("b"), 1, 2, true],
      [id("a"), 2, 1, false],
    ],
  )
  assert.deepEqual(view.vanished, [])
  const gone = overview(archived(2), media, rules, now, never)
  assert.deepEqual(gone.vanished, [{ source: "docs", run: run(1), media: [id("a"), id("b")] }])
  assert.deepEqual(overview(archived(2), media, rules, now, (_, each) => each === run(1)).vanished, [])
  const without = overview(archived(1, 2, 3), media, rules, now, (_, each) => each === run(3))
  assert.deepEqual([without.runs, without.nowhere, without.failing.length], [2, [], 1])
  const later = overview(archived(3), media, { ...rules, max_age_days: 60 }, now, never)
  assert.deepEqual([later.failing, later.media.some((each) => each.overdue)], [[], false])
})

test("a set is one copy, while all of its disks are there", () => {
  const two: Disk[] = [
    { mark: "a", place: "aaaaaaaa", at: "2026-11-20T08:00:00Z", runs: [held(1, "part")] },
    { mark: "b", set: "a", mates: ["a"], place: "aaaaaaaa", at: "2026-11-21T08:00:00Z", runs: [held(1, "set")] },
  ]
  const media = foldStatements({ all: stated(...two) })
  const view = overview(archived(1), media, rules, now, never)
  assert.deepEqual([view.nowhere, view.failing.map((each) => each.offline)], [[], [1]])
  assert.deepEqual(Object.fromEntries(view.losses), { archive: 0, [id("b")]: 1, [id("a")]: 1, aaaaaaaa: 1 })
  assert.deepEqual(waysToRestore({ source: "docs", run: run(1) }, media), [
    { holding: "set", disks: [id("b"), id("a")] },
    { holding: "part", disks: [id("a")] },
  ])
  const lost = new Map(media)
  const first = lost.get(id("a"))
  assert.ok(first !== undefined)
  lost.set(id("a"), { ...first, gone: true })
  assert.equal(overview(archived(1), lost, rules, now, never).nowhere.length, 1)
  assert.deepEqual(waysToRestore({ source: "docs", run: run(1) }, lost), [{ holding: "part", disks: [id("b")] }])
})

test("statements tell what changed, and together what is there", () => {
  const all = stated({
    mark: "a",
    place: "aaaaaaaa",
    at: "2026-11-20T08:00:00Z",
    runs: [held(1, "alone"), held(2, "alone")],
  })
  const before = foldStatements({ all }).get(id("a"))
  assert.ok(before !== undefined)
  const next = makeStatement({
    identity: {
      archive: id("0"),
      medium: id("a"),
      set: id("a"),
      location_code: "aaaaaaaa",
      custodian_code: "00000000",
    },
    ...{ action: "sync", operator: "A".repeat(40), now, before, mates: [], used: 5_000_000, free: 1_048_577 },
    ...{ policy: 1, expiries: 0, erasures: 0, heads: [], runs: [held(2, "alone"), held(3, "alone")], problems: 0 },
  })
  assert.deepEqual([next.format, next.number, next.bytes, next.free], [FORMAT, 2, 4 * 1_048_576, 1_048_576])
  assert.deepEqual(next.runs, [`docs ${run(1)} 1 none - -`, `docs ${run(3)} 1 alone 1-2 1`])
  const after = foldStatements({ all: new Map([...all, ["media/b", next]]) }).get(id("a"))
  assert.deepEqual([...(after?.runs.keys() ?? [])], [`docs ${run(2)}`, `docs ${run(3)}`])
})

const record = (name: string, length: number) => ({ name, length, sha256: "0".repeat(64) })
const syncRun = (day: number, more: Partial<SyncRun> = {}): SyncRun => ({
  ...{ source: "docs", run: run(day), outcome: "complete", arrived: new Date(`2026-11-0${day}T08:00:00Z`) },
  ...{
    objects: [record("key.gpg", 100), record("volume-00000001.tar.zst.gpg", 100_000)],
    uses: [],
    whole: true,
    ...more,
  },
})

test("the newest run of each source comes first, with what it uses, then the others; what fails to restore comes last", () => {
  const uses = [{ run: run(1), object: record("volume-00000001.tar.zst.gpg", 100_000) }]
  const runs = [
    syncRun(1),
    syncRun(2),
    syncRun(4, { outcome: "failed" }),
    syncRun(3, { uses }),
    syncRun(1, { source: "mail" }),
  ]
  const plan = planSync(runs, never, never, { free: 1e9, capacity: 1e9 })
  assert.deepEqual(
    plan.steps.map(({ source, run: each, objects, holding }) => [source, each.slice(6, 8), objects.length, holding]),
    [
      ["docs", "03", 3, "alone"],
      ["mail", "01", 2, "alone"],
      ["docs", "02", 2, "alone"],
      ["docs", "01", 1, "alone"],
      ["docs", "04", 2, "alone"],
    ],
  )
  const small = planSync(runs, never, never, { free: 350_000, capacity: 1e9 })
  assert.deepEqual(
    small.steps.map((step) => step.source + step.run),
    [`docs${run(3)}`, `mail${run(1)}`, `docs${run(1)}`],
    "a smaller run fits still",
  )
  assert.deepEqual(
    small.left.map((each) => each.source + each.run),
    [`docs${run(2)}`, `docs${run(4)}`],
  )
  assert.deepEqual(planSync(runs, () => true, never, { free: 0, capacity: 0 }).left, [])
})

test("only a run that no disk of this size takes is spread", () => {
  const run12 = syncRun(2, {
    objects: Array.from({ length: 12 }, (_, i) =>
      record(`volume-${String(i + 1).padStart(8, "0")}.tar.zst.gpg`, 100_000),
    ),
  })
  const spread = planSync([run12], never, never, { free: 600_000, capacity: 700_000 })
  assert.deepEqual(
    spread.steps.map((step) => [step.holding, step.objects.length]),
    [["part", 5]],
  )
  assert.deepEqual(planSync([run12], never, never, { free: 600_000, capacity: 2e6 }).steps, [])
  const rest = planSync([run12], never, ({ name }) => name < "volume-00000006", { free: 1e6, capacity: 1e6 })
  assert.deepEqual(
    rest.steps.map((step) => [step.holding, step.objects.length]),
    [["set", 7]],
  )
})

test("mounts are read as the kernel tells them", () => {
  const text = [
    "22 27 0:21 / /proc rw,relatime - proc proc rw",
    "36 35 98:0 / /mnt/my\\040disk ro,noatime shared:1 - ext4 /dev/sdb1 rw,errors=continue",
    "37 35 98:1 / /mnt/b rw - xfs /dev/loop1 ro",
    "",
  ].join("\n")
  assert.deepEqual(parseMounts(text), [
    { point: "/proc", device: "proc", type: "proc", readOnly: false },
    { point: "/mnt/my disk", device: "/dev/sdb1", type: "ext4", readOnly: true },
    { point: "/mnt/b", device: "/dev/loop1", type: "xfs", readOnly: true },
  ])
})
