// Content that comes in another order than it has, as chunks do that many files share.

import assert from "node:assert/strict"
import { hash } from "node:crypto"
import { test } from "node:test"
import { type CatalogueEntry, isFault } from "@backup-cloud/format"
import { fakeS3 } from "../../store/test/fake-s3.ts"
import { collect, noise, signal } from "../../store/test/helpers.ts"
import { anybody } from "../../store/test/moto.ts"
import { s3Source, s3Target } from "../src/index.ts"
import { readAll, useMoto } from "./buckets.ts"

const { makeBucket } = useMoto()
const CHUNK = 3_000_000

function entryOf(path: string, content: Uint8Array): CatalogueEntry {
  const about = { mode: 0o644, uid: 0, gid: 0, mtime: "0.000000000", link: null, chunks: [] }
  return { type: "f", path, ...about, size: content.length, sha256: hash("sha256", content), attributes: new Map() }
}

test("parts that wait do not fill the memory, and each comes back where it belongs", async () => {
  const { place, proxy } = await makeBucket()
  const target = s3Target(place)
  await target.begin("this", signal)
  const files = Array.from({ length: 6 }, (_, i) => {
    const content = Buffer.from(noise(17_500_000))
    content[0] = i
    return { content, entry: entryOf(`file-${i}`, content) }
  })
  const last = Math.floor(17_500_000 / CHUNK)
  // From the last chunk to the first, of each file in turn; of each chunk the memory is used again.
  for (let n = last; n >= 0; n--)
    for (const { content, entry } of files) {
      const chunk = Uint8Array.from(content.subarray(n * CHUNK, (n + 1) * CHUNK))
      await target.write(entry, n * CHUNK, chunk, signal)
      chunk.fill(0)
    }
  const fetched = proxy.asked.filter(({ method, key }) => method === "GET" && key !== "").length
  assert.ok(fetched > 0, "some parts had to make room while they were half full")
  for (const { content, entry } of files) {
    const staged = Buffer.concat(await collect(target.read(entry, signal)))
    assert.ok(staged.equals(content), "it can be read before it has its name")
  }
  for (const { entry } of files.slice(1)) await target.commit(entry, signal)
  const [first] = files
  assert.ok(first)
  await target.discard(first.entry)
  assert.deepEqual(await target.finish(signal), [])
  const found = await readAll(s3Source(place))
  assert.deepEqual(
    [...found].map(([path, { content }]) => [path, hash("sha256", content)]),
    files.slice(1).map(({ entry }) => [entry.path, entry.sha256]),
  )
})

test("content that was damaged on its way is refused by the server, and can be sent again", async (t) => {
  const fake = await fakeS3({ now: () => new Date("2026-11-24T08:00:00Z") })
  t.after(() => fake.close())
  const target = s3Target({ bucket: fake.bucket, prefix: "", endpoint: fake.endpoint, credentials: anybody })
  await target.begin("this", signal)
  const entry = entryOf("x", Buffer.from("content"))
  await target.write(entry, 0, Buffer.from("content"), signal)
  fake.fail = ({ key }) => (key === "x" ? { kind: "flip-request", at: 0 } : null)
  await assert.rejects(target.commit(entry, signal), (error) => isFault(error, "unavailable"))
  fake.fail = () => null
  await target.commit(entry, signal)
  assert.equal(String(Buffer.concat(await collect(target.read(entry, signal)))), "content")
  await target.finish(signal)
})

test("a name that is no UTF-8 is refused, since a key must be", async () => {
  const { place } = await makeBucket()
  const target = s3Target(place)
  await target.begin("this", signal)
  await assert.rejects(target.has(entryOf("\xff", Buffer.from("x")), signal), (error) => isFault(error, "refused"))
  assert.equal(await target.has(entryOf("\xc3\xbc", Buffer.from("x")), signal), false)
})
