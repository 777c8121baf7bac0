import assert from "node:assert/strict"
import test from "node:test"
import { BackupError, type ExpiryList, expiryCodec, names } from "@backup-cloud/format"
import { faulty, openStore, type Store } from "@backup-cloud/store"
import { addHold, readExpiries, readRuns, selectRun, setKeep } from "@backup-cloud/trust"
import { fakeS3 } from "../../store/test/fake-s3.ts"
import { bytesOf, digest, signal } from "../../trust/test/archive.ts"
import { putList } from "../../trust/test/lists.ts"
import { at, daysOf, expireOn, idOf, keep, lookOn, sealedOf, verified, type Years, years } from "./archive.ts"

const DAYS = [0, 5, 10, 40, 45]
const NOW = 60
const sums = async ({ archive }: Years): Promise<string[]> =>
  (await archive.list()).filter((name) => /receipt|SHA256SUMS/.test(name))

test("what no rule keeps goes, but not what kept runs use; receipts stay; every absence is named", async () => {
  const given = await years(DAYS, { last: 1 })
  const proofs = await sums(given)
  const { plan } = await lookOn(given, NOW)
  assert.deepEqual(daysOf(plan.runs), [0, 5])
  assert.deepEqual(await verified(given), [])
  const result = await expireOn(given, NOW)
  assert.deepEqual(result.lists, [1])
  assert.deepEqual(result.kept, [])
  assert.deepEqual(await sealedOf(given, 0), [])
  assert.deepEqual(await sealedOf(given, 5), [names.key, names.volume(2)])
  assert.equal((await sealedOf(given, 10)).length, 5)
  assert.deepEqual(await sums(given), proofs)
  assert.deepEqual(await verified(given), [])

  const again = await expireOn(given, NOW + 1)
  assert.deepEqual([again.lists, again.removed], [[], 0])
  const later = await expireOn(given, 80)
  assert.deepEqual(later.lists, [2])
  assert.deepEqual(await sealedOf(given, 5), [], "nothing uses it any more")
  assert.deepEqual(await sealedOf(given, 10), [], "40 and 45 are young, and settle in their turn")
  assert.deepEqual(await verified(given), [])
})

test("only the administrator's key signs; with another nothing is removed", async () => {
  const given = await years(DAYS, { last: 1 })
  const before = await given.archive.list()
  const source = given.archive.sources.get("docs")!
  for (const { signer } of [source, given.archive.operator])
    await assert.rejects(expireOn(given, NOW, { signer }), { fault: "refused" })
  assert.deepEqual(await given.archive.list(), before)
  assert.ok((await expireOn(given, NOW)).removed > 0)
})

test("a crash at any call of the store leaves an archive that verifies, and doing it again finishes", async () => {
  const given = await years(DAYS, { last: 1 })
  const { archive } = given
  const putBack = await keep(given)
  await expireOn(given, NOW)
  const expected = await archive.list()
  let unfinished = 0
  let point = 0
  for (let reached = true; reached; point++) {
    await putBack()
    reached = false
    const store = faulty(archive.store, ({ number, method }) => {
      if (number !== point) return
      reached = true
      throw new BackupError("unavailable", `${method}: the machine went down`)
    })
    const applied = expireOn(given, NOW, { store })
    await applied.catch((error: unknown) => {
      assert.ok(error instanceof BackupError && error.fault === "unavailable")
    })
    assert.deepEqual(await verified(given), [], `point ${point}`)
    const expiries = await readExpiries({ trust: await archive.load(), reader: archive.store, signal })
    if (expiries.unfinished !== null) unfinished++
    await expireOn(given, NOW)
    assert.deepEqual(await archive.list(), expected, `point ${point}`)
    assert.deepEqual(await verified(given), [])
  }
  assert.ok(point > 30, `${point} points`)
  assert.ok(unfinished > 0, "the crash between list and signature was among them")
})

test("a list that was begun is signed only if all that it names would go today", async () => {
  const given = await years(DAYS, { last: 1 })
  const { plan } = await lookOn(given, NOW)
  const [oldest] = plan.runs
  const young = { ...oldest!, run: idOf(45), sums: given.runs.get(45)!.sums }
  const begin = async (runs: ExpiryList["runs"]): Promise<void> => {
    await putList(given.archive, runs, {
      unsigned: true,
      edit: (list) => ({ ...list, created: "2026-02-01T00:00:00Z" }),
    })
  }
  await begin([young])
  const before = await given.archive.list()
  await assert.rejects(expireOn(given, NOW), { fault: "conflict", message: /expiries\/000001\.json/ })
  assert.deepEqual(await given.archive.list(), before)
  await given.archive.store.remove(names.expiry(1), signal)
  await begin([oldest!])
  const { lists } = await expireOn(given, NOW)
  assert.deepEqual(lists, [1, 2], "that one, and what goes besides")
  const first = expiryCodec.decode(await given.archive.read(names.expiry(1)), "x")
  assert.deepEqual(first.runs, [oldest])
  assert.deepEqual(await verified(given), [])
})

test("lists with something wrong stop everything", async () => {
  const given = await years(DAYS, { last: 1 })
  await expireOn(given, NOW)
  const signature = await given.archive.read(`${names.expiry(1)}.sig`)
  await given.archive.replace(`${names.expiry(1)}.sig`, given.archive.admin.certificate.bytes)
  await assert.rejects(expireOn(given, 80), { fault: "tampered" })
  await given.archive.replace(`${names.expiry(1)}.sig`, signature)
  assert.deepEqual((await expireOn(given, 80)).lists, [2])
})

test("a clock that fell behind the last list stops everything", async () => {
  const given = await years([...DAYS, 50, 55], { last: 1 })
  await expireOn(given, 90)
  given.clock.now = at(60)
  const orphan = names.runDirectory("docs", idOf(59)) + names.key
  await given.archive.store.create(orphan, [bytesOf("key")], digest(bytesOf("key")), signal)
  await assert.rejects(expireOn(given, 81), { fault: "refused" })
  assert.deepEqual((await expireOn(given, 91)).lists, [2])
})

/** An archive in a bucket whose lock keeps everything for so many days. */
async function locked(lockDays: number, work: (given: Years, store: Store) => Promise<void>): Promise<void> {
  let now = (): Date => at(0)
  const fake = await fakeS3({ now: () => now(), lockDays })
  try {
    const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" }
    const url = `s3://${fake.bucket}/place?endpoint=${encodeURIComponent(fake.endpoint)}`
    const given = await years(DAYS, { last: 1 }, async (clock) => {
      now = clock
      return await openStore(url, env, signal)
    })
    await work(given, given.archive.store)
  } finally {
    await fake.close()
  }
}

test("what a lock keeps is told and stays; a later expiry takes it away by the same list", async () => {
  await locked(100, async (given) => {
    const all = await sealedOf(given, 0)
    const result = await expireOn(given, NOW)
    assert.deepEqual([result.lists, result.removed, result.kept.length], [[1], 0, 2], "one object of each run")
    assert.deepEqual(
      result.kept.map(({ until }) => until),
      [at(100), at(105)],
    )
    assert.deepEqual(await sealedOf(given, 0), all)
    assert.deepEqual(await verified(given), [])
    const half = await expireOn(given, 102)
    assert.deepEqual(await sealedOf(given, 0), [])
    assert.ok(half.removed >= all.length && half.kept.length > 0, "of the others the lock lasts longer")
    assert.deepEqual(await verified(given), [])
    await expireOn(given, 250)
    assert.deepEqual(await sealedOf(given, 5), [])
    assert.deepEqual(await verified(given), [])
  })
})

test("orphans go with all that lies in their folder, unless it came to have receipts", async () => {
  const given = await years(DAYS, { last: 1 })
  const { archive } = given
  const put = async (day: number, base: string, when: number): Promise<void> => {
    given.clock.now = at(when)
    const bytes = bytesOf(`${day} ${base}`)
    await archive.store.create(names.runDirectory("docs", idOf(day)) + base, [bytes], digest(bytes), signal)
  }
  for (const base of [names.key, names.volume(1), names.volume(2), "junk.txt"]) await put(41, base, 41)
  for (const base of [names.key, names.volume(1)]) await put(42, base, 42)
  await put(42, names.volume(2), 55)
  await put(43, names.receipt(1), 43)
  const { plan } = await lookOn(given, NOW)
  assert.deepEqual(
    plan.runs.filter((each) => each.sums === "").map(({ run, key, volumes }) => [run, key, volumes]),
    [[idOf(41), true, "1-2"]],
    "the second still grows, and the third has a receipt, which somebody may have taken the signature of",
  )
  await expireOn(given, NOW)
  const left = async (day: number): Promise<string[]> =>
    (await archive.list()).filter((name) => name.includes(idOf(day)))
  assert.deepEqual(await left(41), [])
  assert.equal((await left(42)).length, 3)
  assert.equal((await left(43)).length, 1)
  await expireOn(given, 70)
  assert.deepEqual(await left(42), [])
  await put(41, names.key, 71)
  const third = await expireOn(given, 72)
  assert.deepEqual([third.lists, await left(41)], [[], []], "what comes after goes by the same list")
  await put(41, names.sums(1), 73)
  const stays = await expireOn(given, 74)
  assert.deepEqual([stays.kept.length, (await left(41)).length], [1, 1])
})

test("state of old runs is removed without a list, the newest run's stays", async () => {
  const given = await years(DAYS, null)
  await given.archive.amend([], addHold({ source: "docs", run: "", name: "all", until: "" }))
  const none = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within_days: 0, minimum: 1 }
  await given.archive.amend([], setKeep({ source: "docs", ...none }))
  for (const day of DAYS) {
    given.clock.now = at(day)
    const bytes = bytesOf(`state of ${day}`)
    const name = names.stateDirectory("docs", idOf(day)) + names.root(1)
    await given.archive.store.create(name, [bytes], digest(bytes), signal)
  }
  const result = await expireOn(given, 500)
  assert.deepEqual([result.lists, result.removed], [[], 4])
  const states = (await given.archive.list()).filter((name) => name.startsWith("state/"))
  assert.deepEqual(states, [names.stateDirectory("docs", idOf(45)) + names.root(1)])
})

test("an expired run says so, and the kept ones stay what they were", async () => {
  const given = await years(DAYS, { last: 1 })
  await expireOn(given, NOW)
  const trust = await given.archive.load()
  const expiries = await readExpiries({ trust, reader: given.archive.store, signal })
  const runs = await readRuns(trust, given.archive.store, "docs", signal, { expiries })
  assert.throws(() => selectRun(runs, idOf(0)), { fault: "expired", message: /expiry list 1/ })
  for (const day of [10, 40, 45]) assert.equal(selectRun(runs, idOf(day)).run, idOf(day))
})
