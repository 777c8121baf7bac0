// A million keys in memory: in a process of its own (as every test file), with a list made up here.

import assert from "node:assert/strict"
import { test } from "node:test"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { isFault, pathKey } from "@backup-cloud/format"
import { tableOf } from "../src/source.ts"
import type { Listed } from "../src/table.ts"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void
const COUNT = 1_000_000

/** As S3 would list them: keys of 46 bytes in the order of their bytes, where `-` is below `/`. */
async function* pages(): AsyncGenerator<Listed[]> {
  for (let page = 0; page < COUNT / 1000; page++) {
    yield Array.from({ length: 1000 }, (_, i): Listed => {
      const number = String(page * 1000 + i).padStart(9, "0")
      const folder = `uploads/2026/${number.slice(0, 5)}${page % 2 === 0 ? "-x" : ""}`
      return {
        key: `${folder}/${number}-picture-of-a-thing.jpg`,
        size: i,
        modified: 1_790_000_000_000 + i,
        etag: number.padStart(32, "0"),
        storageClass: "STANDARD",
        version: "",
        old: false,
      }
    })
  }
}

test("a million objects take less than 120 MiB, and come in order", async () => {
  collectGarbage()
  const before = process.memoryUsage()
  const table = await tableOf(pages(), "s3://bucket", COUNT)
  collectGarbage()
  const after = process.memoryUsage()
  // Blocks are external, and buffers a part of that.
  const used = after.heapUsed + after.external - before.heapUsed - before.external
  console.log(`${Math.round(used / COUNT)} bytes an object; the process holds ${after.rss >> 20} MiB`)
  assert.ok(used < 120 * 1_048_576, String(used))
  assert.equal(table.length, COUNT)
  let last = ""
  let sizes = 0
  for (const row of table) {
    const key = pathKey(row.path)
    if (key <= last) assert.fail(`${row.path} is out of order`)
    if (row.etag !== row.path.slice(-32, -23).padStart(32, "0")) assert.fail(row.etag)
    last = key
    sizes += row.size
  }
  assert.equal(sizes, (COUNT / 1000) * ((999 * 1000) / 2))
})

test("more objects than one source takes are refused, as soon as they are seen", async () => {
  await assert.rejects(tableOf(pages(), "s3://bucket", COUNT - 1), (error) => {
    assert.ok(isFault(error, "refused"))
    assert.match(error.message, /s3:\/\/bucket: there are more than 999999 objects/)
    assert.match(error.hint ?? "", /shard/)
    return true
  })
  await tableOf(pages(), "s3://bucket", COUNT)
})
