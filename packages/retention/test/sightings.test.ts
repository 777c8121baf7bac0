import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import test from "node:test"
import { names } from "@backup-cloud/format"
import { memoryInMemory, newMemory, readRuns, rememberRuns } from "@backup-cloud/trust"
import { bytesOf, digest, signal } from "../../trust/test/archive.ts"
import { look, readSightings, type Sightings, type SourceState, writeSightings } from "../src/index.ts"
import { at, daysOf, expireOn, idOf, lookOn, years } from "./archive.ts"

const ARCHIVE = "0123456789abcdef0123456789abcdef"
const seen = (run: string, arrived: Date, number = 1) => ({ source: "docs", run, number, arrived })

test("the first look believes the store, but not that anything is still to come", () => {
  const { arrived, lost } = look(null, [seen("a", at(1)), seen("b", at(99))], at(50))
  assert.deepEqual([arrived("docs", "a"), arrived("docs", "b"), lost], [at(1), at(50), []])
})

test("later looks know that what is new came after the last, and what was seen keeps its time", () => {
  const first = look(null, [seen("a", at(1))], at(50)).sightings
  const { arrived, sightings } = look(first, [seen("a", at(40)), seen("b", at(2)), seen("c", at(55))], at(60))
  assert.deepEqual(
    ["a", "b", "c"].map((run) => arrived("docs", run)),
    [at(1), at(50), at(55)],
  )
  const third = look(sightings, [seen("a", at(1), 2), seen("b", at(2)), seen("c", at(3))], at(70))
  assert.deepEqual(
    ["a", "b", "c"].map((run) => third.arrived("docs", run)),
    [at(60), at(50), at(55)],
    "a went on",
  )
})

test("a run that was signed and is not so far any more is lost, until it is back", () => {
  const first = look(null, [seen("a", at(1), 2), seen("b", at(2), 0)], at(50)).sightings
  for (const now of [[], [seen("a", at(1), 1)], [seen("a", at(1), 0)]]) {
    const second = look(first, now, at(60))
    assert.deepEqual(second.lost, ["docs/a"])
    assert.deepEqual(look(second.sightings, now, at(70)).lost, ["docs/a"], "and stays so")
    assert.deepEqual(look(second.sightings, [seen("a", at(1), 2)], at(70)).lost, [])
  }
})

test("what was seen is kept in a file of its archive, and another's or a damaged one is not believed", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sightings-"))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, "home", "sightings.json")
  assert.equal(await readSightings(file, ARCHIVE), null)
  const { sightings } = look(null, [seen("a", at(1))], at(50))
  await writeSightings(file, ARCHIVE, sightings)
  const read = await readSightings(file, ARCHIVE)
  assert.deepEqual([read?.looked, read?.runs], [sightings.looked, sightings.runs])
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.equal(await readSightings(file, "f".repeat(32)), null)
  await writeFile(file, (await readFile(file, "utf8")).replace(`"number":1`, `"number":-1`))
  await assert.rejects(readSightings(file, ARCHIVE), { fault: "unavailable" })
})

const blocked = ({ sources }: { sources: readonly SourceState[] }): string | null => sources[0]?.blocked ?? null

test("a source from which a run vanished is left alone, whatever problems are accepted of it", async () => {
  const given = await years([0, 5, 10, 40], { last: 1 })
  const { archive } = given
  const good = await lookOn(given, 60)
  assert.deepEqual([daysOf(good.plan.runs), blocked(good)], [[0, 5], null])
  // The last run: no other names it, so only who saw it can tell.
  const folder = names.runDirectory("docs", idOf(40))
  const signature = await archive.read(folder + names.signature(1))
  await archive.store.remove(folder + names.signature(1), signal)
  const unseen = await lookOn(given, 75)
  assert.equal(blocked(unseen), null)
  assert.ok(!unseen.plan.runs.some(({ run }) => run === idOf(40)), "receipts without a signature are no orphan")
  const before: Sightings = good.sightings
  for (const despiteProblems of [false, true])
    assert.match(
      blocked(await lookOn(given, 75, { before, despiteProblems })) ?? "",
      /was signed when this machine last/,
    )

  const memory = memoryInMemory(newMemory(archive.admin.certificate.fingerprint))
  await archive.replace(folder + names.signature(1), signature)
  await rememberRuns(memory, [await readRuns(await archive.load(), archive.store, "docs", signal)])
  await archive.store.remove(folder + names.signature(1), signal)
  const despite = await lookOn(given, 75, { memory, despiteProblems: true })
  assert.match(blocked(despite) ?? "", /was there and valid before/)
  assert.deepEqual(despite.plan.runs, [])
})

test("a source with a damaged run is left alone, or plans without that run if told to", async () => {
  const given = await years([0, 5, 10, 40, 45], { last: 1 })
  const folder = names.runDirectory("docs", idOf(0))
  const receipt = await given.archive.read(folder + names.receipt(1))
  await given.archive.replace(folder + names.receipt(1), bytesOf("{}"))
  const left = await lookOn(given, 60)
  assert.match(blocked(left) ?? "", new RegExp(idOf(0)))
  assert.deepEqual(left.plan.runs, [])
  const despite = await lookOn(given, 60, { despiteProblems: true })
  assert.ok(!daysOf(despite.plan.runs).includes(0), "what cannot be judged stays")
  await given.archive.replace(folder + names.receipt(1), receipt)
  assert.deepEqual(daysOf((await lookOn(given, 60)).plan.runs), [0, 5])
})

test("a thief of a source's credentials floods, back-dates and adds junk: no good run goes by that", async () => {
  const given = await years([0, 5, 10, 40, 45], { last: 2, weekly: 20, minimum: 2 })
  const { archive } = given
  const signer = archive.sources.get("docs")!.signer
  const [soon, settled] = [47, 46 + 31]
  const wouldGo = [await lookOn(given, soon), await lookOn(given, settled)].map(({ plan }) => daysOf(plan.runs))
  const { sightings: before } = await lookOn(given, 46)
  const hex = (i: number): string => i.toString(16).padStart(8, "0")
  given.clock.now = at(46.01)
  for (let i = 0; i < 12; i++) await archive.commit({ source: "docs", run: `20200101T000000Z-${hex(i)}`, signer })
  for (let i = 0; i < 20; i++) {
    const bytes = bytesOf(`junk ${i}`)
    const name = names.runDirectory("docs", `20200202T000000Z-${hex(i % 10)}`) + names.volume(i + 1)
    await archive.store.create(name, [bytes], digest(bytes), signal)
  }
  const goodOf = (runs: readonly { readonly run: string }[]): number[] =>
    daysOf(runs.filter(({ run }) => run.startsWith("2026")))
  const flooded = await lookOn(given, soon, { before })
  assert.deepEqual(goodOf(flooded.plan.runs), wouldGo[0])
  const later = await lookOn(given, settled, { before: flooded.sightings })
  assert.deepEqual(goodOf(later.plan.runs), wouldGo[1])
  const going = later.plan.runs.map(({ run }) => run)
  assert.ok(going.filter((run) => run.startsWith("20200101")).length >= 10, "the flood itself goes")
  assert.equal(going.filter((run) => run.startsWith("20200202")).length, 10, "and so does the junk")
  assert.ok((await expireOn(given, settled)).removed > 60)
})
