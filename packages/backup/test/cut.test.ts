import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { cutTable } from "@backup-cloud/format"
import fc from "fast-check"
import { vectorFile } from "../../../vectors/load.ts"
import { type CutRule, catalogueRule, contentRule, cutEnd } from "../src/cut.ts"

const table = Int32Array.from(cutTable(new Uint8Array(32).fill(3)))
/** A rule small enough for properties to meet every case. */
const small: CutRule = { least: 64, most: 512, limit: 0x0400_0000 }

/** The lengths of all chunks of `bytes`. */
function cut(bytes: Uint8Array, rule: CutRule, by: Int32Array): number[] {
  const lengths: number[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = cutEnd(bytes, start, bytes.length, by, rule)
    lengths.push((end < 0 ? bytes.length : end) - start)
    start = end < 0 ? bytes.length : end
  }
  return lengths
}

/** The rule as docs/format.md words it, with no window that rolls. */
function defined(bytes: Uint8Array, rule: CutRule): number[] {
  const lengths: number[] = []
  let start = 0
  for (let i = 0; i < bytes.length; i++) {
    let hash = 0n
    for (let k = 0; k < 32 && i - k >= 0; k++) hash += BigInt((table[bytes[i - k] ?? 0] ?? 0) >>> 0) << BigInt(k)
    const below = i >= start + rule.least - 1 && BigInt.asUintN(32, hash) < BigInt(rule.limit)
    if (!below && i + 1 - start < rule.most && i + 1 < bytes.length) continue
    lengths.push(i + 1 - start)
    start = i + 1
  }
  return lengths
}

test("cuts fall where the definition says", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4_000 }), (bytes) => {
      assert.deepEqual(cut(bytes, small, table), defined(bytes, small))
    }),
    { numRuns: 60 },
  )
})

test("cuts of long chunks fall there too", () => {
  // Longer than what is looked at in one go.
  const long: CutRule = { least: 64, most: 14_000, limit: 0x0008_0000 }
  let longest = 0
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20_000, maxLength: 40_000, size: "max" }), (bytes) => {
      const lengths = cut(bytes, long, table)
      longest = Math.max(longest, ...lengths)
      assert.deepEqual(lengths, defined(bytes, long))
    }),
    { numRuns: 10 },
  )
  assert.ok(longest > 8_192)
})

test("the end of what is known makes no cut", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), fc.nat(), (bytes, seed) => {
      const known = seed % bytes.length
      const early = cutEnd(bytes, 0, known, table, small)
      if (early >= 0) assert.equal(cutEnd(bytes, 0, bytes.length, table, small), early)
    }),
  )
})

test("after an insertion the cuts fall where they fell before", () => {
  const bytes = Buffer.concat(Array.from({ length: 12_500 }, (_, i) => createHash("sha256").update(String(i)).digest()))
  const before = cut(bytes, small, table)
  const after = cut(Buffer.concat([Buffer.from("x"), bytes]), small, table)
  const ends = (lengths: number[], shift: number): Set<number> => {
    let at = shift
    return new Set(lengths.map((length) => (at += length)))
  }
  const kept = [...ends(after, -1)].filter((end) => ends(before, 0).has(end))
  assert.ok(kept.length >= before.length - 3, `${kept.length} of ${before.length} cuts were kept`)
})

interface CutVector {
  readonly seed: string
  readonly zeros: boolean
  readonly length: number
  readonly sha256: string
  readonly content: readonly number[]
  readonly catalogue: readonly number[]
}

test("the vectors' cuts are ours", () => {
  const vectors = JSON.parse(readFileSync(vectorFile("cut.json"), "utf8")) as { secret: string; cuts: CutVector[] }
  assert.ok(vectors.cuts.length > 3)
  const by = Int32Array.from(cutTable(Buffer.from(vectors.secret, "hex")))
  for (const vector of vectors.cuts) {
    const pieces: Buffer[] = []
    for (let counter = 0; !vector.zeros && counter * 32 < vector.length; counter++) {
      const number = Buffer.alloc(4)
      number.writeUInt32BE(counter)
      pieces.push(createHash("sha256").update(vector.seed).update(number).digest())
    }
    const bytes = vector.zeros ? Buffer.alloc(vector.length) : Buffer.concat(pieces).subarray(0, vector.length)
    assert.equal(createHash("sha256").update(bytes).digest("hex"), vector.sha256)
    assert.deepEqual(cut(bytes, contentRule, by), vector.content)
    assert.deepEqual(cut(bytes, catalogueRule, by), vector.catalogue)
  }
})
