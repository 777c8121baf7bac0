import assert from "node:assert/strict"
import test from "node:test"
import { BackupError, names } from "@backup-cloud/format"
import { memoryStore } from "@backup-cloud/store"
import {
  checkExpiries,
  type Expiries,
  memoryInMemory,
  newMemory,
  type Problem,
  readExpiries,
  readRuns,
  selectRun,
  type TrustMemory,
  takenBy,
  verifyArchive,
} from "../src/index.ts"
import {
  bytesOf,
  type Committed,
  digest,
  hourly,
  jsPerson,
  makeArchive,
  RECOVER_TEXT,
  signal,
  someObjects,
  type TestArchive,
} from "./archive.ts"
import { goes, putList } from "./lists.ts"

const RUNS = [1, 2, 3].map((n) => `2026112${n}T080000Z-0000000${n}`) as [string, string, string]
const [A, B, C] = RUNS
const at = (run: string, base: string): string => names.runDirectory("docs", run) + base

interface Three {
  readonly archive: TestArchive
  readonly a: Committed
  readonly b: Committed
}

/** Three runs; the last uses volume 2 of the first. */
async function threeRuns(): Promise<Three> {
  const archive = await makeArchive(memoryStore({ now: hourly() }))
  await archive.addSource("docs")
  const a = await archive.commit({ source: "docs", run: A })
  const b = await archive.commit({ source: "docs", run: B, previous: [a.line] })
  const uses = [{ run: A, sums: a.sums, volumes: "2", catalogues: "" }]
  await archive.commit({ source: "docs", run: C, previous: [b.line], uses })
  return { archive, a, b }
}

const expiriesOf = async (archive: TestArchive, home?: TrustMemory): Promise<Expiries> =>
  readExpiries({
    ...{ trust: await archive.load(), reader: archive.store, signal },
    ...(home === undefined ? {} : { home }),
  })
const found = (problems: readonly Problem[]): string[] =>
  problems.map(({ fault, object }) => `${fault} ${object}`).sort()

async function verify(archive: TestArchive): Promise<string[]> {
  const trust = await archive.load()
  const report = await verifyArchive({
    ...{ trust, reader: archive.store, quick: false, memory: memoryInMemory(), width: 4, signal },
    expiries: await readExpiries({ trust, reader: archive.store, signal }),
    unsigned: new Map([["RECOVER.txt", digest(RECOVER_TEXT)]]),
    onEvent: () => undefined,
  })
  return found(report.problems)
}

const remove = async (archive: TestArchive, run: string, ...bases: string[]): Promise<void> => {
  for (const base of bases) await archive.store.remove(at(run, base), signal)
}
/** Of run A, all that no other run uses. */
const FREE = { key: false, volumes: "1" }

test("an absence that a list names is none; one that no list names is, and what is named may still be there", async () => {
  const { archive, a } = await threeRuns()
  await putList(archive, [goes("docs", a, FREE)])
  assert.deepEqual(await verify(archive), [], "not removed yet")
  await remove(archive, A, names.root(1), names.volume(1), names.catalogue(1))
  assert.deepEqual(await verify(archive), [])
  const expiries = await expiriesOf(archive)
  assert.equal(takenBy(expiries, "docs", A, names.volume(1)), 1)
  assert.equal(takenBy(expiries, "docs", A, names.volume(2)), null)
  const volume = await archive.read(at(A, names.volume(2)))
  await remove(archive, A, names.volume(2))
  assert.deepEqual(await verify(archive), [`tampered ${at(A, names.volume(2))}`])
  await archive.replace(at(A, names.volume(2)), volume)
  const key = await archive.read(at(A, names.key))
  await remove(archive, A, names.key)
  assert.deepEqual(await verify(archive), [`tampered ${at(A, names.key)}`])
  await archive.replace(at(A, names.key), key)
  assert.deepEqual(await verify(archive), [])
})

test("a list does not excuse that receipts, sums or signatures of its runs are gone", async () => {
  const { archive, b } = await threeRuns()
  await putList(archive, [goes("docs", b)])
  assert.deepEqual(await verify(archive), [])
  for (const base of [names.receipt(1), names.sums(1), names.signature(1)]) {
    const kept = await archive.read(at(B, base))
    await remove(archive, B, base)
    assert.ok((await verify(archive)).length > 0, base)
    await archive.replace(at(B, base), kept)
  }
  assert.deepEqual(await verify(archive), [])
})

test("a list that names what a kept run uses is tampered, and so is that run", async () => {
  const { archive, a, b } = await threeRuns()
  const first = await putList(archive, [goes("docs", b)])
  assert.deepEqual(await verify(archive), [])
  await putList(archive, [goes("docs", a)], { number: 2, previous: first })
  assert.deepEqual(await verify(archive), [`tampered ${at(A, names.volume(2))}`])
  const runs = await readRuns(await archive.load(), archive.store, "docs", signal, {
    expiries: await expiriesOf(archive),
  })
  assert.throws(() => selectRun(runs, C), { fault: "tampered", message: /expiry list 2/ })
})

test("an expired run is none to restore: latest and dates pass it over, its id says by which list it went", async () => {
  const { archive, a, b } = await threeRuns()
  const digestOne = await putList(archive, [goes("docs", b)])
  await putList(archive, [goes("docs", a, FREE)], { number: 2, previous: digestOne })
  const runs = await readRuns(await archive.load(), archive.store, "docs", signal, {
    expiries: await expiriesOf(archive),
  })
  assert.deepEqual(
    runs.runs.map(({ run, expired }) => [run, expired]),
    [
      [A, 2],
      [B, 1],
      [C, null],
    ],
  )
  assert.deepEqual(runs.problems, [])
  assert.equal(selectRun(runs, "latest").run, C)
  assert.throws(() => selectRun(runs, B), { fault: "expired", message: /expiry list 1/ })
  assert.throws(() => selectRun(runs, "2026-11-22"), { fault: "expired", message: /expiry list/ })
  assert.equal(selectRun(runs, B, { salvage: true }).run, B)
  const before = await readRuns(await archive.load(), archive.store, "docs", signal)
  assert.equal(selectRun(before, B).run, B, "without the lists it is a run as any other")
})

test("lists are a chain by the administrator: others' signatures, gaps and misfits are tampered", async () => {
  const { archive, a, b } = await threeRuns()
  const first = await putList(archive, [goes("docs", b)])
  const cases: [string, Parameters<typeof putList>[2]][] = [
    ["a source's key", { signer: archive.sources.get("docs")!.signer }],
    ["an operator's key", { signer: archive.operator.signer }],
    ["a stranger's key", { signer: (await jsPerson("mallory", "sign")).signer }],
    ["another list before it", { previous: digest(bytesOf("other")) }],
    ["another number", { edit: (list) => ({ ...list, number: 3 }) }],
    ["another archive", { edit: (list) => ({ ...list, archive: "f".repeat(32) }) }],
    ["a policy that is not there", { edit: (list) => ({ ...list, policy: 9 }) }],
    ["an earlier time", { edit: (list) => ({ ...list, created: "2027-05-31T23:59:59Z" }) }],
  ]
  for (const [what, options] of cases) {
    await putList(archive, [goes("docs", a, FREE)], { number: 2, previous: first, ...options })
    const expiries = await expiriesOf(archive)
    assert.equal(expiries.lists.length, 1, what)
    assert.ok(expiries.problems.length > 0 && expiries.problems.every(({ fault }) => fault === "tampered"), what)
    for (const name of [names.expiry(2), `${names.expiry(2)}.sig`]) await archive.store.remove(name, signal)
  }
  await putList(archive, [goes("docs", a, FREE)], { number: 2, previous: first })
  const good = await expiriesOf(archive)
  assert.deepEqual([good.lists.length, good.problems], [2, []])

  for (const name of [names.expiry(1), `${names.expiry(1)}.sig`]) {
    const kept = await archive.read(name)
    await archive.store.remove(name, signal)
    const gap = await expiriesOf(archive)
    assert.equal(gap.lists.length, 0)
    assert.deepEqual(found(gap.problems), [`tampered ${names.expiry(1)}`])
    await archive.replace(name, kept)
  }
  const flipped = (await archive.read(names.expiry(2))).map((byte, i) => (i === 200 ? byte ^ 1 : byte))
  await archive.replace(names.expiry(2), flipped)
  assert.ok((await verify(archive)).includes(`tampered ${names.expiry(2)}`))
})

test("a list without a signature counts for nothing, and is no problem: an expiry was interrupted", async () => {
  const { archive, b } = await threeRuns()
  await putList(archive, [goes("docs", b)], { unsigned: true })
  const expiries = await expiriesOf(archive)
  assert.deepEqual([expiries.lists, expiries.problems], [[], []])
  assert.equal(digest(expiries.unfinished ?? bytesOf("")), digest(await archive.read(names.expiry(1))))
})

test("what a machine saw of the lists it misses: a chain that is cut off or exchanged is an alarm", async () => {
  const { archive, a, b } = await threeRuns()
  const home = memoryInMemory(newMemory(archive.admin.certificate.fingerprint))
  const first = await putList(archive, [goes("docs", b)])
  await putList(archive, [goes("docs", a, FREE)], { number: 2, previous: first })
  assert.deepEqual((await expiriesOf(archive, home)).problems, [])
  for (const name of [names.expiry(2), `${names.expiry(2)}.sig`]) await archive.store.remove(name, signal)
  const cut = await expiriesOf(archive, home)
  assert.deepEqual(found(cut.problems), [`alarm ${names.expiry(2)}`])
  assert.throws(
    () => {
      checkExpiries(cut)
    },
    { fault: "alarm" },
  )
  assert.deepEqual((await expiriesOf(archive)).problems, [], "a machine that never saw it cannot tell")
  await putList(archive, [goes("docs", a, { ...FREE, volumes: "" })], { number: 2, previous: first })
  assert.deepEqual(found((await expiriesOf(archive, home)).problems), [`alarm ${names.expiry(2)}`])
  for (const name of [names.expiry(2), `${names.expiry(2)}.sig`]) await archive.store.remove(name, signal)
  await putList(archive, [goes("docs", a, FREE)], { number: 2, previous: first })
  const back = await expiriesOf(archive, home)
  assert.deepEqual(back.problems, [])
  checkExpiries(back)
})

test("a machine without the right to look at lists goes on without them, and says so", async () => {
  const { archive, b } = await threeRuns()
  await putList(archive, [goes("docs", b)])
  const reader = {
    ...archive.store,
    async *list(prefix: string, inner: AbortSignal) {
      if (prefix === "expiries/") throw new BackupError("refused", "expiries/: no right")
      yield* archive.store.list(prefix, inner)
    },
  }
  const expiries = await readExpiries({ trust: await archive.load(), reader, signal })
  assert.deepEqual([expiries.lists.length, found(expiries.problems)], [0, ["refused expiries/"]])
  assert.deepEqual(
    Object.keys(someObjects(B)).filter((base) => takenBy(expiries, "docs", B, base) !== null),
    [],
  )
})
