import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import test, { type TestContext } from "node:test"
import { BackupError, names } from "@backup-cloud/format"
import { directoryStore, memoryStore, type ObjectVersion, type Store } from "@backup-cloud/store"
import { get } from "../../store/test/helpers.ts"
import {
  memoryInMemory,
  ObjectError,
  type Problem,
  readExpiries,
  readRuns,
  rememberRuns,
  type TrustMemory,
  type VerifyOptions,
  type VerifyReport,
  verifyArchive,
  worst,
} from "../src/index.ts"
import {
  bytesOf,
  type Committed,
  collect,
  digest,
  hourly,
  makeArchive,
  RECOVER_TEXT,
  signal,
  someObjects,
  type TestArchive,
} from "./archive.ts"
import { goes, putList } from "./lists.ts"

const [A, B, C] = [1, 2, 3].map((n) => `2026112${n}T080000Z-0000000${n}`) as [string, string, string]
const at = (run: string, base: string): string => names.runDirectory("docs", run) + base

const stores: [string, (t: TestContext) => Promise<Store>][] = [
  ["memory", async () => memoryStore({ now: hourly() })],
  [
    "directory",
    async (t) => {
      const path = await mkdtemp(join(tmpdir(), "trust-"))
      t.after(() => rm(path, { recursive: true }))
      return directoryStore(path)
    },
  ],
]

interface Three {
  readonly archive: TestArchive
  readonly first: Committed
  readonly last: Committed
}

/** Three runs: A; B, which had a checkpoint and uses A; C after B. */
async function threeRuns(store: Store): Promise<Three> {
  const archive = await makeArchive(store)
  await archive.addSource("docs")
  const first = await archive.commit({ source: "docs", run: A })
  const uses = [{ run: A, sums: first.sums, volumes: "1-2", catalogues: "1" }]
  await archive.commit({ source: "docs", run: B, outcome: "checkpoint", previous: [first.line], uses })
  const objects = { [names.volume(3)]: bytesOf("third"), [names.root(2)]: bytesOf("root 2") }
  const second = await archive.commit({ source: "docs", run: B, number: 2, objects, previous: [first.line], uses })
  const last = await archive.commit({ source: "docs", run: C, previous: [second.line] })
  return { archive, first, last }
}

interface Verified {
  readonly report: VerifyReport | null
  readonly problems: readonly Problem[]
}

/** As the command does it: what loading throws is a finding too. */
async function verify(archive: TestArchive, more: Partial<VerifyOptions> = {}, home?: TrustMemory): Promise<Verified> {
  const memory = home ?? memoryInMemory()
  try {
    const trust = await archive.load({ home: memory, reader: more.reader ?? archive.store })
    const report = await verifyArchive({
      ...{ trust, memory, signal, reader: archive.store, quick: false, width: 4, onEvent: () => undefined },
      unsigned: new Map([["RECOVER.txt", digest(RECOVER_TEXT)]]),
      ...more,
    })
    return { report, problems: report.problems }
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    const object = error instanceof ObjectError ? error.object : error.message.slice(0, error.message.indexOf(":"))
    return { report: null, problems: [{ fault: error.fault, object, why: error.message }] }
  }
}

const found = ({ problems }: Verified): string[] =>
  problems.map((problem) => `${problem.fault} ${problem.object}`).sort()

/** Whether `problem` names the object; where it and its signature disagree, its words name the other of the two. */
const isAbout = ({ object, why }: Problem, name: string): boolean => object === name || why.includes(name)

const damages: [string, (bytes: Uint8Array) => Uint8Array][] = [
  ["a byte appended", (bytes) => Buffer.concat([bytes, Uint8Array.of(10)])],
  ["a byte removed from the end", (bytes) => bytes.subarray(0, -1)],
  ["a byte removed from the front", (bytes) => bytes.subarray(1)],
  ["a bit flipped in the middle", (bytes) => bytes.map((b, i) => (i === bytes.length >> 1 ? b ^ 1 : b))],
]

for (const [kind, open] of stores) {
  test(`${kind}: an archive as it should be has no problems, read whole or quickly`, async (t) => {
    const { archive } = await threeRuns(await open(t))
    const events: string[] = []
    const { report } = await verify(archive, { onEvent: (event) => events.push(event.event) })
    const listed = (await collect(archive.store.list("backup/", signal))).map((info) => info.size)
    assert.deepEqual(report, {
      objects: listed.length,
      bytes: listed.reduce((sum, size) => sum + size, 0),
      runs: 3,
      problems: [],
      leftovers: 0,
    })
    assert.equal(events.filter((event) => event === "object").length, listed.length)
    assert.deepEqual((await verify(archive, { quick: true })).problems, [])
  })

  // Each store reads alike; the directory's turn takes longer, so it has one of the damages.
  for (const [what, damage] of kind === "memory" ? damages : damages.slice(3))
    test(`${kind}: ${what} is found in every object, which is named`, async (t) => {
      const { archive } = await threeRuns(await open(t))
      const all = await archive.list()
      assert.ok(all.length > 30)
      for (const name of all) {
        const good = await archive.read(name)
        await archive.replace(name, damage(good))
        const { problems } = await verify(archive)
        assert.ok(
          problems.some((problem) => isAbout(problem, name)),
          `${name}: ${found({ report: null, problems }).join(", ") || "nothing found"}`,
        )
        assert.ok(["tampered", "refused"].includes(worst(problems)?.fault ?? ""), name)
        await archive.replace(name, good)
      }
      assert.deepEqual((await verify(archive)).problems, [])
    })

  test(`${kind}: each object removed, renamed or swapped with another is found and named`, async (t) => {
    const { archive } = await threeRuns(await open(t))
    const home = memoryInMemory()
    assert.deepEqual((await verify(archive, {}, home)).problems, [])
    const all = await archive.list()
    for (const [i, name] of all.entries()) {
      const good = await archive.read(name)
      await archive.store.remove(name, signal)
      const removed = await verify(archive, {}, home)
      assert.ok(
        removed.problems.some((problem) => name.startsWith(problem.object)),
        `${name}: ${found(removed).join(", ")}`,
      )
      const away = `${name.slice(0, name.lastIndexOf("/") + 1)}moved-${i}`
      await archive.replace(away, good)
      assert.ok(
        (await verify(archive, {}, home)).problems.some((problem) => name.startsWith(problem.object)),
        name,
      )
      await archive.store.remove(away, signal)

      const other = all[(i + 1) % all.length]!
      const others = await archive.read(other)
      await archive.replace(name, others)
      await archive.replace(other, good)
      const swapped = await verify(archive, {}, home)
      assert.ok(
        swapped.problems.some((problem) => isAbout(problem, name) || isAbout(problem, other)),
        `${name} with ${other}: ${found(swapped).join(", ")}`,
      )
      await archive.replace(name, good)
      await archive.replace(other, others)
    }
    assert.deepEqual((await verify(archive, {}, home)).problems, [])
  })

  test(`${kind}: a rollback is an alarm for a home that verified before`, async (t) => {
    const { archive } = await threeRuns(await open(t))
    const home = memoryInMemory()
    await verify(archive, {}, home)
    const saved = new Map<string, Uint8Array>()
    for (const name of (await archive.list()).filter((each) => each.includes(C))) {
      saved.set(name, await archive.read(name))
      await archive.store.remove(name, signal)
    }
    assert.deepEqual(found(await verify(archive, {}, home)), [`alarm ${at(C, "")}`])
    assert.deepEqual(found(await verify(archive, {}, home)), [`alarm ${at(C, "")}`], "it stays one")
    assert.deepEqual(found(await verify(archive)), [], "without memory it cannot be seen")
    const remember = async () => {
      const runs = await readRuns(await archive.load({ home }), archive.store, "docs", signal)
      await rememberRuns(home, [runs])
    }
    await assert.rejects(remember(), { fault: "alarm", object: at(C, "") })
    for (const [name, bytes] of saved) await archive.replace(name, bytes)
    assert.deepEqual(found(await verify(archive, {}, home)), [])
    await remember()
  })
}

const memoryArchive = (): Promise<Three> => threeRuns(memoryStore({ now: hourly() }))

test("the last receipt of the last run removed is an alarm for a home that saw it", async () => {
  const { archive, last } = await memoryArchive()
  const D = "20261124T080000Z-00000004"
  await archive.commit({ source: "docs", run: D, outcome: "checkpoint", previous: [last.line] })
  await archive.commit({ source: "docs", run: D, number: 2, objects: {}, previous: [last.line] })
  const home = memoryInMemory()
  assert.deepEqual(found(await verify(archive, {}, home)), [])
  for (const base of [names.receipt(2), names.sums(2), names.signature(2)])
    await archive.store.remove(at(D, base), signal)
  assert.deepEqual(found(await verify(archive, {}, home)), [`alarm ${at(D, names.receipt(2))}`])
})

test("an older receipt in the place of a newer one is found", async () => {
  const { archive } = await memoryArchive()
  await archive.replace(at(B, names.receipt(2)), await archive.read(at(B, names.receipt(1))))
  const { problems } = await verify(archive)
  assert.deepEqual([problems[0]?.fault, problems[0]?.object], ["tampered", at(B, names.receipt(2))])
})

test("a whole older run in the place of a newer one is found", async () => {
  const { archive } = await memoryArchive()
  for (const base of [...Object.keys(someObjects(A)), names.receipt(1), names.sums(1), names.signature(1)])
    await archive.replace(at(C, base), await archive.read(at(A, base)))
  assert.deepEqual(found(await verify(archive)), [`tampered ${at(C, names.receipt(1))}`])
})

test("a home remembers across new runs, and takes what follows for no rollback", async () => {
  const { archive, last } = await memoryArchive()
  const home = memoryInMemory()
  await verify(archive, {}, home)
  const D = "20261124T080000Z-00000004"
  const next = await archive.commit({ source: "docs", run: D, previous: [last.line] })
  assert.deepEqual(found(await verify(archive, {}, home)), [])
  assert.deepEqual((await home.read())?.heads, { docs: [{ run: D, number: 1, sums: next.sums }] })
})

test("what an interrupted run leaves is no problem; what nothing can have left is", async () => {
  const { archive, last } = await memoryArchive()
  const [D, E] = ["20261124T080000Z-00000004", "20261125T080000Z-00000005"]
  await archive.replace(at(D, names.key), bytesOf("key"))
  await archive.replace(at(D, names.volume(1)), bytesOf("volume"))
  await archive.commit({ source: "docs", run: E, outcome: "checkpoint", previous: [last.line] })
  await archive.replace(at(E, names.volume(3)), bytesOf("volume"))
  await archive.replace(at(E, names.receipt(2)), bytesOf("receipt"))
  const { report } = await verify(archive)
  assert.deepEqual(report?.problems, [])
  assert.equal(report.leftovers, 4)

  const strays = [
    at(C, names.volume(9)),
    at(C, "notes.txt"),
    "backup/docs/readme",
    "backup/mail/x",
    `backup/mail/${A}/key.gpg`,
  ]
  for (const stray of strays) await archive.replace(stray, bytesOf("?"))
  assert.deepEqual(found(await verify(archive)), strays.map((stray) => `differs ${stray}`).sort())
})

test("quickly, lengths and absences are found, and other bytes of the same length are not", async () => {
  const { archive } = await memoryArchive()
  const name = at(A, names.volume(1))
  const good = await archive.read(name)
  await archive.replace(name, damages[3]![1](good))
  assert.deepEqual(found(await verify(archive, { quick: true })), [])
  assert.deepEqual(found(await verify(archive)), [`tampered ${name}`])
  await archive.replace(name, damages[0]![1](good))
  assert.deepEqual(found(await verify(archive, { quick: true })), [`tampered ${name}`])
  await archive.store.remove(name, signal)
  assert.deepEqual(found(await verify(archive, { quick: true })), [`tampered ${name}`])
})

/** The archive, but for objects that cannot be read now, as on a failing disk. */
function failing(archive: TestArchive, fails: (name: string) => boolean): Store {
  return {
    ...archive.store,
    async *read(name, inner, options) {
      if (fails(name)) throw new BackupError("unavailable", `${name}: input/output error`)
      yield* archive.store.read(name, inner, options)
    },
  }
}

test("an object that the store cannot read now is named, and the rest is looked at", async () => {
  const { archive } = await memoryArchive()
  const [bad, worse] = [at(A, names.volume(1)), at(B, names.volume(1))]
  await archive.replace(worse, bytesOf("other"))
  const reader = failing(archive, (name) => name === bad)
  assert.deepEqual(found(await verify(archive, { reader })), [`tampered ${worse}`, `unavailable ${bad}`])
})

for (const [what, object, isHead] of [
  ["the last receipt", at(C, names.receipt(1)), true],
  ["a receipt of a run that others follow", at(B, names.receipt(2)), false],
  ["the source's certificate", "config/sources/docs-", true],
] as const)
  test(`when ${what} cannot be read now, that is no rollback, and nothing is forgotten`, async () => {
    const { archive } = await memoryArchive()
    const home = memoryInMemory()
    await verify(archive, {}, home)
    const remembered = await home.read()
    const reader = failing(archive, (name) => name.startsWith(object))
    const { problems } = await verify(archive, { reader }, home)
    assert.ok(problems.some((each) => each.object.startsWith(object) || each.why.includes(object)))
    for (const { fault, why } of problems) assert.equal(fault, "unavailable", why)
    assert.deepEqual(await home.read(), remembered)
    const trust = await archive.load({ reader })
    const remember = rememberRuns(home, [await readRuns(trust, reader, "docs", signal)])
    await (isHead ? assert.rejects(remember, { fault: "unavailable" }) : remember)
    assert.deepEqual(found(await verify(archive, {}, home)), [])
  })

test("what an expiry lists may be absent, but not what a kept run uses of it", async () => {
  const { archive, first } = await memoryArchive()
  for (const base of [names.root(1), names.volume(1)]) await archive.store.remove(at(A, base), signal)
  const gone = [names.root(1), names.volume(1)].map((base) => `tampered ${at(A, base)}`)
  assert.deepEqual(found(await verify(archive)), gone)
  await putList(archive, [goes("docs", first, { key: false, volumes: "", catalogues: "" })])
  const expiries = await readExpiries({ trust: await archive.load(), reader: archive.store, signal })
  assert.deepEqual(found(await verify(archive, { expiries })), [`tampered ${at(A, names.volume(1))}`])
  await archive.replace(at(A, names.volume(1)), someObjects(A)[names.volume(1)]!)
  assert.deepEqual(found(await verify(archive, { expiries })), [])
})

test("aborted work ends with the reason, not with a report", async () => {
  const { archive } = await memoryArchive()
  const stop = new AbortController()
  const reason = new Error("enough")
  const trust = await archive.load()
  const verifying = verifyArchive({
    ...{ trust, reader: archive.store, quick: false, memory: memoryInMemory(), width: 2, signal: stop.signal },
    onEvent: (event) => {
      if (event.event === "object") stop.abort(reason)
    },
  })
  await assert.rejects(verifying, (error) => error === reason)
})

/** A store that keeps what is overwritten or removed, as a bucket with versions does. */
function withVersions(store: Store): Store {
  const kept = new Map<string, { version: string; bytes: Uint8Array; arrived: Date }[]>()
  return {
    ...store,
    async remove(name, inner) {
      const info = await store.stat(name, inner)
      if (info === null) return
      const bytes = await get(store, name)
      const list = kept.get(name) ?? []
      kept.set(name, [{ version: `v${list.length}`, bytes, arrived: info.arrived }, ...list])
      await store.remove(name, inner)
    },
    async *read(name, inner, options = {}) {
      const old = kept.get(name)?.find((each) => each.version === options.version)
      if (old === undefined) yield* store.read(name, inner, options)
      else yield old.bytes
    },
    async versions(name, inner): Promise<readonly ObjectVersion[]> {
      const old = (kept.get(name) ?? []).map(({ version, bytes, arrived }) => ({
        ...{ name, version, arrived, size: bytes.length, deleted: false },
      }))
      return [...(await store.versions(name, inner)), ...old]
    },
  }
}

test("in a store with versions, what was overwritten or hidden is found where it still is", async () => {
  const { archive } = await threeRuns(withVersions(memoryStore({ now: hourly() })))
  const [overwritten, hiddenVolume] = [at(A, names.volume(1)), at(B, names.volume(2))]
  await archive.replace(overwritten, bytesOf("other"))
  await archive.store.remove(hiddenVolume, signal)
  for (const base of [names.receipt(1), names.sums(1), names.signature(1)])
    await archive.store.remove(at(A, base), signal)
  await archive.replace("config/policy-000002.json", bytesOf("{}"))
  const { report } = await verify(archive)
  assert.equal(report?.runs, 3)
  assert.deepEqual(
    report.problems.map((problem) => [problem.fault, problem.object, problem.version]).sort(),
    [
      ["tampered", overwritten, "v0"],
      ["tampered", hiddenVolume, "v0"],
      ["tampered", "config/policy-000002.json", "v0"],
      ...[names.receipt(1), names.sums(1), names.signature(1)].map((base) => ["tampered", at(A, base), "v0"]),
    ].sort(),
  )
})
