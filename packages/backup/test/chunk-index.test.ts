import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { ChunkIndex, Known, LEAST_INDEXED } from "../src/chunk-index.ts"

const id = (n: number): string => createHash("sha256").update(String(n)).digest("hex")

test("an index of many chunks answers as a map would", () => {
  const index = new ChunkIndex()
  const map = new Map<string, { run: string; volume: number }>()
  for (let n = 0; n < 20_000; n++) {
    const place = { run: `run-${n % 17}`, volume: (n * 7919) % 262_145 }
    // Some are entered twice: the later place counts.
    index.set(id(n % 15_000), place)
    map.set(id(n % 15_000), place)
  }
  assert.equal(index.size, map.size)
  for (const [key, place] of map) assert.deepEqual(index.get(key), place)
  assert.equal(index.get(id(20_001)), null)
})

test("what is packed is known at once, and where it lies afterwards", () => {
  const known = new Known(() => null)
  for (const length of [1, LEAST_INDEXED - 1, LEAST_INDEXED]) {
    assert.equal(known.get(id(length), length), null)
    known.set(id(length), length, { run: "r", volume: 0 })
    assert.deepEqual(known.get(id(length), length), { run: "r", volume: 0 })
    known.set(id(length), length, { run: "r", volume: 4 })
    assert.deepEqual(known.get(id(length), length), { run: "r", volume: 4 })
  }
})

test("only chunks of some length are looked for in earlier runs", () => {
  const known = new Known(() => ({ run: "before", volume: 1 }))
  assert.equal(known.get(id(1), LEAST_INDEXED - 1), null)
  assert.deepEqual(known.get(id(1), LEAST_INDEXED), { run: "before", volume: 1 })
})
