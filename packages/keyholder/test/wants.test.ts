import assert from "node:assert/strict"
import { test } from "node:test"
import { encodeRanges, rangeNumbers } from "@backup-cloud/format"
import fc from "fast-check"
import { contains } from "../src/wants.ts"

test("ranges within ranges agree with sets", () => {
  const set = fc.uniqueArray(fc.integer({ min: 1, max: 30 }))
  fc.assert(
    fc.property(set, set, (outer, inner) => {
      const expected = inner.every((n) => outer.includes(n))
      assert.equal(contains(encodeRanges(outer), encodeRanges(inner)), expected)
      assert.ok(contains(encodeRanges([...outer, ...inner]), encodeRanges(inner)))
      assert.deepEqual([...rangeNumbers(encodeRanges(inner))].length, inner.length)
    }),
  )
})
