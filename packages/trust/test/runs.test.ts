import assert from "node:assert/strict"
import test from "node:test"
import { names } from "@backup-cloud/format"
import { memoryStore } from "@backup-cloud/store"
import {
  judgeCommit,
  type Problem,
  readExpiries,
  readRuns,
  rekeySource,
  removeSource,
  selectRun,
  setSource,
} from "../src/index.ts"
import {
  bytesOf,
  digest,
  entry,
  hourly,
  jsPerson,
  makeArchive,
  signal,
  someObjects,
  type TestArchive,
} from "./archive.ts"
import { goes, putList } from "./lists.ts"

const RUNS = [1, 2, 3, 4, 5].map((n) => `2026112${n}T080000Z-0000000${n}`) as [string, string, string, string, string]

async function withDocs(): Promise<TestArchive> {
  const archive = await makeArchive(memoryStore({ now: hourly() }))
  await archive.addSource("docs")
  return archive
}

const read = async (archive: TestArchive, options = {}) =>
  readRuns(await archive.load(), archive.store, "docs", signal, options)
const found = (problems: readonly Problem[]): string[] =>
  problems.map((problem) => `${problem.fault} ${problem.object}`)
const at = (run: string, base: string): string => names.runDirectory("docs", run) + base

test("runs come along the chain, whatever their ids say; the last usable one is the latest", async () => {
  const archive = await withDocs()
  const [a, b, c, d] = RUNS
  const third = await archive.commit({ source: "docs", run: c })
  const first = await archive.commit({ source: "docs", run: a, previous: [third.line], outcome: "partial" })
  const second = await archive.commit({ source: "docs", run: b, previous: [first.line], outcome: "failed" })
  const runs = await read(archive)
  assert.deepEqual(
    runs.runs.map((run) => run.run),
    [c, a, b],
  )
  assert.deepEqual(runs.problems, [])
  assert.deepEqual(
    runs.heads.map((run) => [run.run, run.sumsDigest]),
    [[b, second.sums]],
  )
  assert.equal(selectRun(runs, "latest").run, a)
  assert.equal(selectRun(runs, b).run, b)
  assert.throws(() => selectRun(runs, d), { fault: "not-found" })
  assert.throws(() => selectRun(runs, "yesterday"), { fault: "usage" })
})

test("a date means the last usable run that had started by its end", async () => {
  const archive = await withDocs()
  const [a, , c] = RUNS
  const first = await archive.commit({ source: "docs", run: a })
  await archive.commit({ source: "docs", run: c, previous: [first.line] })
  const runs = await read(archive)
  assert.equal(selectRun(runs, "2026-11-21").run, a)
  assert.equal(selectRun(runs, "2026-11-22").run, a)
  assert.equal(selectRun(runs, "2026-11-23").run, c)
  assert.throws(() => selectRun(runs, "2026-11-20"), { fault: "not-found" })
})

test("two runs at a time are two heads, and the next joins them", async () => {
  const archive = await withDocs()
  const [a, b, c, d] = RUNS
  const base = await archive.commit({ source: "docs", run: a })
  const left = await archive.commit({ source: "docs", run: b, previous: [base.line] })
  const right = await archive.commit({ source: "docs", run: c, previous: [base.line] })
  const two = await read(archive)
  assert.deepEqual(
    two.heads.map((run) => run.run),
    [b, c],
  )
  await archive.commit({ source: "docs", run: d, previous: [left.line, right.line] })
  const joined = await read(archive)
  assert.deepEqual(
    joined.heads.map((run) => run.run),
    [d],
  )
  assert.deepEqual(joined.problems, [])
})

test("the highest number speaks, and the objects are those of all numbers", async () => {
  const archive = await withDocs()
  const [a] = RUNS
  const more = { [names.volume(3)]: bytesOf("third"), [names.root(2)]: bytesOf("root 2") }
  await archive.commit({ source: "docs", run: a, outcome: "checkpoint" })
  const last = await archive.commit({ source: "docs", run: a, number: 2, objects: more })
  const [run] = (await read(archive)).runs
  assert.equal(run?.number, 2)
  assert.equal(run.receipt.outcome, "complete")
  assert.equal(run.sumsDigest, last.sums)
  assert.deepEqual([...run.objects.keys()].sort(), [...Object.keys(someObjects(a)), ...Object.keys(more)].sort())
  assert.deepEqual(run.problems, [])
})

test("a run without a signature is unfinished and no problem; so is what follows a checkpoint", async () => {
  const archive = await withDocs()
  const [a, b] = RUNS
  await archive.commit({ source: "docs", run: a, outcome: "checkpoint" })
  await archive.replace(at(a, names.receipt(2)), bytesOf("anything"))
  await archive.replace(at(a, names.sums(2)), bytesOf("anything"))
  await archive.replace(at(b, names.key), bytesOf("anything"))
  const runs = await read(archive)
  assert.deepEqual(runs.unfinished, [b])
  assert.deepEqual(runs.problems, [])
  assert.equal(runs.runs[0]?.number, 1)
  assert.throws(() => selectRun(runs, b), { fault: "not-found", message: /interrupted/ })
})

for (const base of [names.receipt(1), names.sums(1), names.signature(1)])
  test(`a flipped byte in ${base} breaks the run; put right, it is whole`, async () => {
    const archive = await withDocs()
    const [a, b] = RUNS
    const first = await archive.commit({ source: "docs", run: a })
    await archive.commit({ source: "docs", run: b, previous: [first.line] })
    const good = await archive.read(at(b, base))
    const bad = Uint8Array.from(good)
    bad[30]! ^= 1
    await archive.replace(at(b, base), bad)
    const broken = await read(archive)
    assert.deepEqual(broken.broken, [b])
    assert.equal(broken.problems.length, base === names.receipt(1) ? 1 : 2)
    assert.equal(broken.problems[0]?.fault, "tampered")
    assert.ok(broken.problems[0].object.startsWith(at(b, "")))
    assert.throws(() => selectRun(broken, "latest"), { fault: "tampered" }, "an older run must not pass for the latest")
    assert.equal(selectRun(broken, "latest", { salvage: true }).run, a)
    assert.equal(selectRun(broken, a).run, a)
    await archive.replace(at(b, base), good)
    assert.equal(selectRun(await read(archive), "latest").run, b)
  })

test("SHA256SUMS with CRLF is refused, though its signature is right", async () => {
  const archive = await withDocs()
  const crlf = (sums: Uint8Array): Uint8Array => bytesOf(Buffer.from(sums).toString().replaceAll("\n", "\r\n"))
  await archive.commit({ source: "docs", run: RUNS[0], editSums: crlf })
  assert.deepEqual((await read(archive)).broken, [RUNS[0]])
  await archive.commit({ source: "docs", run: RUNS[1], editSums: (sums) => sums })
  assert.deepEqual(
    (await read(archive)).runs.map((run) => run.run),
    [RUNS[1]],
  )
})

test("a foreign key, another source's key and an operator's key sign nothing", async () => {
  const archive = await withDocs()
  const other = await archive.addSource("mail")
  const mallory = await jsPerson("mallory", "sign")
  const signers = [mallory.signer, other.signer, archive.operator.signer, archive.sources.get("docs")!.signer]
  for (const [i, signer] of signers.entries()) await archive.commit({ source: "docs", run: RUNS[i]!, signer })
  const runs = await read(archive)
  assert.deepEqual(runs.broken, RUNS.slice(0, 3))
  assert.deepEqual(
    runs.runs.map((run) => run.run),
    [RUNS[3]],
  )
})

test("a key counts until the policy ends it, by arrival; then only the new one does", async () => {
  const archive = await withDocs()
  const [a, b, c] = RUNS
  const old = archive.sources.get("docs")!
  const renewed = await jsPerson("docs", "sign")
  await archive.commit({ source: "docs", run: a })
  const { arrived } = (await read(archive)).runs[0]!
  const until = arrived.toISOString().replace(".000Z", "Z")
  await archive.amend([entry("source", renewed)], rekeySource("docs", renewed.certificate, until))
  await archive.commit({ source: "docs", run: b, policy: 2 })
  await archive.commit({ source: "docs", run: c, signer: renewed.signer })
  const runs = await read(archive)
  assert.deepEqual(
    runs.runs.map((run) => run.run),
    [a, c],
  )
  assert.deepEqual(found(runs.problems), [`refused ${at(b, names.signature(1))}`])

  // Offline, where nobody knows when it arrived, the key has not ended.
  const [receipt, sums, signature] = [
    await archive.read(at(b, names.receipt(1))),
    await archive.read(at(b, names.sums(1))),
    await archive.read(at(b, names.signature(1))),
  ]
  const place = { source: "docs", run: b, number: 1 }
  const trust = await archive.load()
  assert.equal((await judgeCommit(trust, place, { receipt, sums, signature }, null, null, signal)).number, 1)
  await assert.rejects(judgeCommit(trust, place, { receipt, sums, signature }, null, new Date(), signal), {
    fault: "refused",
  })
  assert.equal(old.certificate.fingerprint, trust.policy.sources[0]?.keys[0]?.fingerprint)
})

test("the receipts of a removed source still count", async () => {
  const archive = await withDocs()
  await archive.commit({ source: "docs", run: RUNS[0] })
  await archive.amend([], removeSource("docs", "2026-12-31T00:00:00Z"))
  assert.deepEqual(
    (await read(archive)).runs.map((run) => run.run),
    [RUNS[0]],
  )
})

test("a receipt is judged by the policy it names: one before its source's, or one to come, lists no key", async () => {
  const archive = await withDocs()
  await archive.commit({ source: "docs", run: RUNS[0], policy: 1 })
  await archive.commit({ source: "docs", run: RUNS[1], policy: 3 })
  await archive.commit({ source: "docs", run: RUNS[2], policy: 2 })
  const runs = await read(archive)
  assert.deepEqual(runs.broken, [RUNS[0], RUNS[1]])
  assert.deepEqual(
    runs.runs.map((run) => run.run),
    [RUNS[2]],
  )
})

test("the policy number never falls along the chain, nor within a run", async () => {
  const archive = await withDocs()
  const [a, b, c] = RUNS
  await archive.amend([], setSource("docs", { schedule: "hourly" }))
  const first = await archive.commit({ source: "docs", run: a, policy: 3 })
  await archive.commit({ source: "docs", run: b, policy: 2, previous: [first.line] })
  await archive.commit({ source: "docs", run: c, policy: 3, outcome: "checkpoint", previous: [first.line] })
  await archive.commit({ source: "docs", run: c, policy: 2, number: 2, objects: {}, previous: [first.line] })
  const runs = await read(archive)
  assert.deepEqual(found(runs.problems).sort(), [
    `tampered ${at(b, names.receipt(1))}`,
    `tampered ${at(c, names.receipt(2))}`,
  ])
  assert.throws(() => selectRun(runs, b), { fault: "tampered" })
})

const lies: [string, Parameters<TestArchive["commit"]>[0]["edit"]][] = [
  ["archive", (r) => ({ ...r, archive: "f".repeat(32) })],
  ["run", (r) => ({ ...r, run: RUNS[4] })],
  ["number", (r) => ({ ...r, number: 2 })],
  ["source", (r) => ({ ...r, source: "mail" })],
  [
    "objects that its sums do not list",
    (r) => ({ ...r, objects: [...r.objects, `volume-00000003.tar.zst.gpg 1 ${"0".repeat(64)}`].sort() }),
  ],
  ["fewer objects than its sums", (r) => ({ ...r, objects: r.objects.slice(1) })],
]
for (const [what, edit] of lies)
  test(`a signed receipt that says another ${what} is refused`, async () => {
    const archive = await withDocs()
    await archive.commit({ source: "docs", run: RUNS[0], ...(edit === undefined ? {} : { edit }) })
    assert.deepEqual((await read(archive)).broken, [RUNS[0]])
    await archive.commit({ source: "docs", run: RUNS[1], edit: (r) => r })
    assert.equal((await read(archive)).runs.length, 1)
  })

test("a second number that lists an object again, or leaves out the number before, is refused", async () => {
  const archive = await withDocs()
  const [a, b] = RUNS
  await archive.commit({ source: "docs", run: a, outcome: "checkpoint" })
  await archive.commit({ source: "docs", run: a, number: 2, objects: {} })
  await archive.commit({ source: "docs", run: b, outcome: "checkpoint" })
  const without = (sums: Uint8Array): Uint8Array =>
    bytesOf(
      Buffer.from(sums)
        .toString()
        .split("\n")
        .filter((line) => !line.endsWith("SHA256SUMS-0001"))
        .join("\n"),
    )
  await archive.commit({ source: "docs", run: b, number: 2, objects: {}, editSums: without })
  const runs = await read(archive)
  assert.equal(runs.runs.find((run) => run.run === a)?.number, 2)
  assert.equal(runs.runs.find((run) => run.run === b)?.number, 1)
  assert.deepEqual(found(runs.problems), [`tampered ${at(b, names.sums(2))}`])
})

test("a run that a later one names and that is gone is missed, also if an expiry lists it: its receipts stay", async () => {
  const archive = await withDocs()
  const [a, b, c] = RUNS
  const first = await archive.commit({ source: "docs", run: a })
  const second = await archive.commit({ source: "docs", run: b, previous: [first.line] })
  const uses = [{ run: a, sums: first.sums, volumes: "1-2", catalogues: "1" }]
  await archive.commit({ source: "docs", run: c, previous: [second.line], uses })
  assert.deepEqual((await read(archive)).problems, [])
  for (const name of await archive.list()) if (name.includes(a)) await archive.store.remove(name, signal)
  const runs = await read(archive)
  assert.deepEqual([...new Set(found(runs.problems))], [`tampered ${at(a, "")}`])
  assert.throws(() => selectRun(runs, b), { fault: "tampered" })
  await putList(archive, [goes("docs", first), goes("docs", second)])
  const expiries = await readExpiries({ trust: await archive.load(), reader: archive.store, signal })
  const missed = (await read(archive, { expiries })).problems
  assert.ok(missed.length > 0 && missed.every(({ object }) => object.startsWith(at(a, ""))))
})

test("a use of what no receipt lists is found", async () => {
  const archive = await withDocs()
  const [a, b] = RUNS
  const first = await archive.commit({ source: "docs", run: a })
  const uses = [{ run: a, sums: first.sums, volumes: "2-3", catalogues: "" }]
  await archive.commit({ source: "docs", run: b, previous: [first.line], uses })
  assert.deepEqual(found((await read(archive)).problems), [`tampered ${at(a, names.volume(3))}`])
})

test("the last number of a run that a later one names is missed when it is cut off", async () => {
  const archive = await withDocs()
  const [a, b] = RUNS
  await archive.commit({ source: "docs", run: a, outcome: "checkpoint" })
  const last = await archive.commit({ source: "docs", run: a, number: 2, objects: {} })
  await archive.commit({ source: "docs", run: b, previous: [last.line] })
  assert.deepEqual((await read(archive)).problems, [])
  for (const base of [names.receipt(2), names.sums(2), names.signature(2)])
    await archive.store.remove(at(a, base), signal)
  assert.deepEqual(found((await read(archive)).problems), [`tampered ${at(a, names.sums(2))}`])
})

test("runs that name one another in a circle end in problems, not in a loop", async () => {
  const archive = await withDocs()
  const [a, b] = RUNS
  await archive.commit({ source: "docs", run: a, previous: [`${b} ${digest(bytesOf("b"))}`] })
  await archive.commit({ source: "docs", run: b, previous: [`${a} ${digest(bytesOf("a"))}`] })
  const runs = await read(archive)
  assert.equal(runs.runs.length, 2)
  assert.equal(runs.problems.length, 2)
})
