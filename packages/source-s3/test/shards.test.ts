import assert from "node:assert/strict"
import { test } from "node:test"
import { isFault, toByteString } from "@backup-cloud/format"
import fc from "fast-check"
import { shardRanges } from "../src/index.ts"
import { checkShard, isBehindShard, isInShard, type Shard, startOfShard } from "../src/shards.ts"

const key = fc.string({ unit: "grapheme", maxLength: 8 })
const byBytes = (a: string, b: string): number => (toByteString(a) < toByteString(b) ? -1 : 1)

function partOf(shards: readonly Shard[], text: string): number[] {
  return shards.flatMap((shard, i) => (isInShard(shard, toByteString(text)) ? [i] : []))
}

test("every key is in exactly one range, and lists from the range's start to its end find it", () => {
  fc.assert(
    fc.property(fc.uniqueArray(key, { maxLength: 5 }), fc.array(key, { maxLength: 20 }), (some, keys) => {
      const boundaries = some.toSorted(byBytes)
      const ranges = shardRanges(boundaries)
      assert.equal(ranges.length, boundaries.length + 1)
      for (const each of [...keys, ...boundaries]) {
        const [range = -1, ...more] = partOf(ranges, each)
        assert.deepEqual(more, [])
        const start = startOfShard(ranges[range] ?? {})
        assert.ok(start.isWellFormed())
        assert.ok(start === "" || toByteString(start) < toByteString(each), "a list after it brings the key")
        for (const [i, other] of ranges.entries())
          assert.equal(isBehindShard(other, toByteString(each)), i < range, "only ranges before it are at their end")
      }
    }),
  )
})

test("a range's list begins near it", () => {
  const [, second] = shardRanges(["uploads/8"])
  assert.equal(startOfShard(second ?? {}), "uploads/7\u{10ffff}")
})

test("every key is in exactly one of the shares, the same one each time, and they are about alike", () => {
  const shares = Array.from({ length: 16 }, (_, index) => ({ index, count: 16 }))
  const counts = new Array<number>(16).fill(0)
  for (let i = 0; i < 16_000; i++) {
    const parts = partOf(shares, `uploads/${i}.jpg`)
    assert.equal(parts.length, 1)
    counts[parts[0] ?? 0]! += 1
  }
  assert.ok(Math.min(...counts) > 800 && Math.max(...counts) < 1200, String(counts))
  // As any later version must have it, or all would be stored again.
  assert.deepEqual(
    ["a", "b", "uploads/é"].map((each) => partOf(shares, each)[0]),
    FIXED,
  )
})

const FIXED = [11, 9, 9]

test("shards that cannot be meant are refused", () => {
  const usage = (error: unknown): boolean => isFault(error, "usage")
  assert.throws(() => shardRanges(["b", "a"]), usage)
  assert.throws(() => shardRanges(["a", "a"]), usage)
  for (const [index, count] of [
    [16, 16],
    [-1, 2],
    [0.5, 2],
    [0, 0],
  ] as const)
    assert.throws(() => {
      checkShard({ index, count })
    }, usage)
  assert.throws(() => {
    checkShard({ from: "b", to: "a" })
  }, usage)
  checkShard({ from: "a", to: "b" })
  checkShard({ index: 15, count: 16 })
})
