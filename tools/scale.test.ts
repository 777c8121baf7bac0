// The page about very large buckets says what the script computes from its inputs, and the script computes rightly: some
// figures by hand, and each input changes what it must and nothing else.

import assert from "node:assert/strict"
import { test } from "node:test"
import { compute, fill, type Inputs, LIMITS, readInputs, readPage, tables } from "./scale.ts"

const inputs = readInputs()

test("the page is the one that the script makes", () => {
  assert.equal(readPage(), fill(readPage(), tables(inputs)), "node tools/scale.ts writes it anew")
})

test("the page has every table, and a number changed by hand is found", () => {
  const page = readPage()
  for (const name of tables(inputs).keys()) assert.ok(page.includes(`<!-- ${name} -->`), name)
  const changed = page.replace(/\$(\d)/, (_, digit: string) => `$${(Number(digit) + 1) % 10}`)
  assert.notEqual(changed, page)
  assert.notEqual(fill(changed, tables(inputs)), changed)
  assert.throws(() => fill("<!-- nothing -->\n<!-- end -->", tables(inputs)), /no table nothing/)
})

/** Numbers that are easy by hand: 1,000 objects of 1 MiB, in 2 shards, with nothing to wait for but the processor. */
const small: Inputs = {
  bucket: { objects: 1000, bytes: 1000 * 1_048_576, shards: 2, changedEachDay: 0.1, storedPart: 0.5 },
  worker: { vCpu: 2, memoryGib: 4, lambdaGib: 2, atTheSameTime: 1 },
  measured: {
    ...{ cpuSecondsPerMebibyte: 7.2, cpuSecondsPerObjectRead: 7.2, cpuSecondsPerObjectUnchanged: 0.72 },
    ...{ cpuSecondsPerMebibyteRestored: 3.6, catalogueBytesPerObject: 0 },
  },
  assumed: {
    ...{ objectsAhead: 1000, secondsPerGet: 0, secondsPerPut: 0, secondsPerList: 0, mebibytesPerSecondOfNetwork: 1e9 },
    ...{ lockDays: 10, holderSecondsPerOperation: 36 },
  },
  prices: {
    ...{ region: "x", date: "x", currency: "x", vCpuHour: 1, gibHour: 0.5, lambdaGibSecond: 0.25, metricMonth: 1 },
    perThousand: { put: 1000, get: 1, list: 1000, putInstantRetrieval: 1, stateTransition: 1000 },
    gbMonth: { standard: 1, standardInfrequentAccess: 1, glacierInstantRetrieval: 1 },
    gbRetrieved: { standard: 1, standardInfrequentAccess: 1, glacierInstantRetrieval: 1 },
    gbOut: { sameRegion: 0, internet: 1 },
  },
}

const near = (got: number, wanted: number): void => {
  assert.ok(Math.abs(got - wanted) < 1e-6 * Math.max(1, Math.abs(wanted)), `${got} is not ${wanted}`)
}

test("by hand: the first run", () => {
  const { first, perShard, byDigest } = compute(small)
  // 1,000 MiB and 1,000 objects at 7.2 s: 14,400 s, halved by shards and by processors: 1 hour a shard, one after the other.
  near(first.shardHours, 1)
  near(first.hours, 2)
  // Two hours of 2 × 1 + 4 × 0.5.
  near(first.workerCost, 8)
  // 500 MiB are 7.83 volumes, so 8, and 7 small objects for each shard.
  assert.deepEqual([first.lists, first.gets, first.puts], [1, 2000, 8 + 14])
  near(first.requestCost, 1 + 2 + 22)
  near(first.machineCost, 17)
  // A function has one processor: 7,200 s of 840 each, in two shards with 2 GiB.
  assert.equal(first.invocations, 9)
  near(first.lambdaCost, 2 * 7200 * 2 * 0.25)
  assert.deepEqual([perShard.objects, perShard.volumes], [500, 4])
  assert.deepEqual([byDigest.lists, byDigest.cost], [2, 2])
})

test("by hand: the run of a day, what is kept, and a restore", () => {
  const { daily, keptBytes, restore, holder, metricsMonth } = compute(small)
  // 100 objects are read, 900 looked at: 1,440 s and 648 s.
  near(daily.shardHours, 2088 / 2 / 2 / 3600)
  near(keptBytes, (500 + 10 * 50) * 1_048_576)
  near(restore.hours, (3600 / 2 / 2 / 3600) * 2)
  near(restore.bucketHours, restore.hours)
  // 22 GET of the archive; each object is looked for and put.
  near(restore.bucketRequestCost, 0.022 + 1000 + 1)
  const slow = { ...small, assumed: { ...small.assumed, secondsPerGet: 3.6, secondsPerPut: 7.2 } }
  near(compute(slow).restore.bucketHours, ((500 * 10.8) / 3600) * 2)
  assert.deepEqual([holder.releases, holder.operations, holder.mostOperations], [2, 2, 34])
  near(holder.mostHours, 0.34)
  near(metricsMonth, 18)
})

test("what takes longest decides: the processor, answers, or the network; and the list comes before", () => {
  const withAssumed = (more: Partial<Inputs["assumed"]>): number =>
    compute({ ...small, assumed: { ...small.assumed, ...more } }).first.shardHours
  near(withAssumed({ objectsAhead: 1, secondsPerGet: 72 }), (500 * 72) / 3600)
  near(withAssumed({ mebibytesPerSecondOfNetwork: 1 / 36 }), ((500 + 250) * 36) / 3600)
  near(withAssumed({ secondsPerList: 3600 }), 1.5)
})

test("the page's bucket fits: no shard is larger than a source may be", () => {
  const { perShard } = compute(inputs)
  assert.ok(perShard.objects <= LIMITS.objects && perShard.volumes <= LIMITS.volumes && perShard.bytes <= 1e14)
  assert.ok(inputs.bucket.shards <= 1000)
})
