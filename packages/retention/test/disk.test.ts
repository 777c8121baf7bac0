import assert from "node:assert/strict"
import test from "node:test"
import { names } from "@backup-cloud/format"
import { memoryStore, type Store } from "@backup-cloud/store"
import { readExpiries } from "@backup-cloud/trust"
import { bytesOf, collect, digest, makeArchive, signal } from "../../trust/test/archive.ts"
import { destroyAfter, expireDisk, type PlanInput, type RunState } from "../src/index.ts"
import { at, expireOn, type Years, years } from "./archive.ts"
import { daysAfter, policyOf, runOf, sourceOf, time } from "./runs.ts"

async function copyOf({ archive, clock }: Years): Promise<Store> {
  const disk = memoryStore({ now: () => clock.now })
  for (const { name } of await collect(archive.store.list("", signal))) {
    const bytes = await archive.read(name)
    await disk.create(name, [bytes], digest(bytes), signal)
  }
  return disk
}

test("a disk follows the archive's lists, resumes, and keeps what they do not name", async () => {
  const given = await years([0, 5, 10, 40, 45], { last: 1 })
  const disk = await copyOf(given)
  await expireOn(given, 60)
  const expire = async () => {
    const trust = await given.archive.load()
    const archive = given.archive.store
    const expiries = await readExpiries({ trust, reader: archive, signal })
    return await expireDisk({ trust, expiries, archive, store: disk, signal, onEvent: () => undefined })
  }
  const first = await expire()
  assert.deepEqual([first.lists, first.kept], [[1], []])
  assert.ok(first.removed > 0)
  const namesOf = async (store: Store): Promise<string[]> =>
    (await collect(store.list("", signal))).map((each) => each.name)
  assert.deepEqual(await namesOf(disk), await namesOf(given.archive.store))
  assert.deepEqual(await expire(), { lists: [], removed: 0, kept: [] })
})

test("a disk of another archive, or with other lists, is left as it is", async () => {
  const given = await years([0, 5, 10, 40, 45], { last: 1 })
  const disk = await copyOf(given)
  await expireOn(given, 60)
  const trust = await given.archive.load()
  const archive = given.archive.store
  const expiries = await readExpiries({ trust, reader: archive, signal })
  const input = { trust, expiries, archive, signal, onEvent: () => undefined }
  const other = await makeArchive(memoryStore({ now: () => at(0) }))
  const foreign = { ...trust, archive: { ...trust.archive, archive: "f".repeat(32) } }
  await assert.rejects(expireDisk({ ...input, trust: foreign, store: other.store }), { fault: "refused" })
  await assert.rejects(expireDisk({ ...input, store: memoryStore({ now: () => at(0) }) }), { fault: "not-found" })
  const bytes = bytesOf("another list")
  await disk.create(names.expiry(1), [bytes], digest(bytes), signal)
  await assert.rejects(expireDisk({ ...input, store: disk }), { fault: "conflict" })
  await disk.remove(names.expiry(1), signal)
  assert.ok((await expireDisk({ ...input, store: disk })).removed > 0)
})

const START = time("2026-01-01")
const inputOf = (policy: PlanInput["policy"], runs: readonly RunState[], now: Date): PlanInput => ({
  ...{ policy, sources: [sourceOf(runs)], proved: new Set(), now },
})

test("a disk is destroyed after the last day on which a rule keeps any of its runs", () => {
  const runs = Array.from({ length: 100 }, (_, day) => runOf(`day ${day}`, daysAfter(START, day)))
  const now = daysAfter(START, 99.25)
  const dayOf = (held: readonly RunState[], rule: Parameters<typeof policyOf>[0], more = {}): string | null =>
    destroyAfter(inputOf(policyOf(rule, more), runs, now), held)
      .after?.toISOString()
      .slice(0, 10) ?? null
  assert.equal(dayOf([], {}), "2026-04-10", "nothing is on it")
  assert.equal(dayOf([runs[3]!], {}), "2026-04-10", "of this run nothing is wanted")
  assert.equal(dayOf([runs[90]!], {}), "2026-05-02", "when the next one is settled")
  assert.equal(dayOf([runs[31]!], { monthly: 12 }), "2027-02-01", "the first of February, for twelve months")
  assert.equal(dayOf([runs[31]!, runs[0]!], { monthly: 12, yearly: 2 }), "2028-01-01")
  assert.equal(dayOf([runs[98]!], { within_days: 200 }), "2026-10-26")
  assert.equal(dayOf([runs[99]!], {}), null, "the newest run has a date once others have come")
  assert.equal(dayOf([runs[90]!], { last: 3 }), "2026-05-04", "when three newer ones have settled")
  const holds = [{ source: "docs", run: runs[3]!.run, name: "court", until: "" }]
  assert.equal(dayOf([runs[3]!], {}, { holds }), null)
  assert.equal(dayOf([runs[3]!], {}, { holds: [{ ...holds[0], until: "2030-05-05T00:00:00Z" }] }), "2030-05-05")
  assert.equal(dayOf([{ ...runs[3]!, run: "20200101T000000Z-00000000" }], {}), null, "the archive does not have it")
  assert.equal(dayOf([runs[3]!], null), null, "without a rule everything stays")
})

test("until the day that was told a rule keeps a run of the disk, and after it none does", () => {
  const runs = Array.from({ length: 60 }, (_, day) => runOf(`day ${day}`, daysAfter(START, 3 * day)))
  const rule = { last: 2, weekly: 10, monthly: 3, minimum: 2 }
  const now = daysAfter(START, 100)
  const known = runs.filter(({ arrived }) => arrived <= now)
  for (const run of known) {
    const { after } = destroyAfter(inputOf(policyOf(rule), known, now), [run])
    if (after === null) continue
    const end = daysAfter(after, 0.01)
    assert.deepEqual(destroyAfter(inputOf(policyOf(rule), runs, end), [run]).after, end, run.arrived.toISOString())
  }
})
