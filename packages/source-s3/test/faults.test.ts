// What a network, a provider and other writers do while objects are read.

import assert from "node:assert/strict"
import { test } from "node:test"
import { DeleteObjectCommand } from "@aws-sdk/client-s3"
import { isFault } from "@backup-cloud/format"
import { collect, noise, signal } from "../../store/test/helpers.ts"
import { s3Source } from "../src/index.ts"
import { type Found, readAll, useMoto } from "./buckets.ts"
import type { Asked } from "./proxy.ts"

const { makeBucket } = useMoto()
const LARGE = noise(20_000_000)
const word = (found: Found | undefined): string | undefined =>
  typeof found?.content === "string" ? found.content : undefined

/** Whether a request is for the content of an object. */
const isContent = ({ method, key, query }: Asked): boolean => method === "GET" && key !== "" && !query.has("tagging")

test("a storm of refusals for too many requests is sat out", async () => {
  const { place, proxy, put } = await makeBucket()
  for (let i = 0; i < 5; i++) await put(String(i), `object ${i}`)
  const seen = new Map<string, number>()
  let refused = 0
  proxy.fail = ({ key, query }) => {
    const what = `${key}?${query.toString()}`
    seen.set(what, (seen.get(what) ?? 0) + 1)
    if ((seen.get(what) ?? 0) > 2) return null
    refused++
    return { status: 503, code: "SlowDown" }
  }
  const found = await readAll(s3Source(place))
  assert.deepEqual(
    [...found.values()].map(({ content }) => String(content)),
    [0, 1, 2, 3, 4].map((i) => `object ${i}`),
  )
  assert.equal(refused, 2 * (1 + 5 + 5), "the list, each content and each object's tags twice")
})

test("a body that breaks off is asked for again, and in the end is unavailable, not short", async () => {
  const { place, proxy, put } = await makeBucket()
  await put("large", LARGE)
  await put("small", noise(100_000))
  const cut = new Set<string>()
  proxy.fail = (asked) => {
    const what = `${asked.key} ${asked.range}`
    if (!isContent(asked) || cut.has(what)) return null
    cut.add(what)
    return { cutAfter: 1000 }
  }
  const found = await readAll(s3Source(place))
  assert.ok(Buffer.from(LARGE).equals(found.get("large")?.content as Buffer))
  assert.ok(Buffer.from(noise(100_000)).equals(found.get("small")?.content as Buffer))
  assert.equal(cut.size, 4, "three ranges of the large one, and the small one")
  for (const what of ["large", "small"]) {
    proxy.fail = (asked) => (isContent(asked) && asked.key === what ? { cutAfter: 1000 } : null)
    await assert.rejects(readAll(s3Source(place)), (error) => isFault(error, "unavailable"), what)
  }
})

test("a damaged body is found by the checksum of its object, and asked for again", async () => {
  const { place, proxy, put } = await makeBucket()
  await put("x", "hello", { ChecksumAlgorithm: "SHA256" })
  let flipped = 0
  proxy.fail = (asked) => (isContent(asked) && flipped++ === 0 ? { flipAt: 0 } : null)
  assert.equal(String((await readAll(s3Source(place))).get("x")?.content), "hello")
  assert.equal(flipped, 2)
})

test("an object that was overwritten since it was listed is kept as it is now", async () => {
  const { place, proxy, put } = await makeBucket()
  // Each object is overwritten when it is first asked for.
  const source = s3Source({ ...place, tags: false })
  await put("large", LARGE)
  await put("small", "before")
  const overwritten = new Set<string>()
  proxy.fail = async ({ key }) => {
    if (key === "" || overwritten.has(key)) return null
    overwritten.add(key)
    await put(key, key === "small" ? LARGE : "after", { ContentType: "text/after", StorageClass: "STANDARD_IA" })
    return null
  }
  const found = await readAll(source)
  assert.equal(String(found.get("large")?.content), "after")
  assert.ok(Buffer.from(LARGE).equals(found.get("small")?.content as Buffer))
  const again = await readAll(source)
  for (const [path, { attributes }] of found) {
    assert.equal(attributes["s3.content-type"], "text/after")
    assert.deepEqual(attributes, again.get(path)?.attributes)
  }
})

test("one that is overwritten or deleted while it is read is reported, and never mixed", async () => {
  const { place, proxy, put, client } = await makeBucket()
  const change = {
    changed: (key: string) => put(key, noise(20_000_001)),
    ENOENT: (Key: string) => client.send(new DeleteObjectCommand({ Bucket: place.bucket, Key })),
  }
  for (const [expected, act] of Object.entries(change)) {
    await put("large", LARGE)
    let done = false
    proxy.fail = async ({ range }) => {
      if (!range.startsWith("bytes=8388608-") || done) return null
      done = true
      await act("large")
      return null
    }
    assert.equal(word((await readAll(s3Source(place))).get("large")), expected)
  }
})

test("an object that may not be read is reported, and so are tags that may not", async () => {
  const { place, proxy, put } = await makeBucket()
  for (const key of ["a", "b", "large"]) await put(key, key === "large" ? LARGE : key, { Tagging: "t=1" })
  proxy.fail = (asked) => {
    const denied = asked.query.has("tagging") ? asked.key === "a" : asked.key === "b" || asked.key === "large"
    return denied ? { status: 403, code: "AccessDenied" } : null
  }
  const found = await readAll(s3Source(place))
  assert.deepEqual([word(found.get("b")), word(found.get("large"))], ["EACCES", "EACCES"])
  assert.deepEqual([String(found.get("a")?.content), found.get("a")?.attributes["lacks"]], ["a", "tags"])
  for (const code of ["KMS.DisabledException", "InvalidRequest"]) {
    proxy.fail = (asked) => (isContent(asked) ? { status: 400, code } : null)
    assert.equal(word((await readAll(s3Source(place))).get("a")), code.startsWith("KMS") ? "KMS" : "SSE-C")
  }
  // What does not concern the object ends the run.
  proxy.fail = ({ key }) => (key === "" ? null : { status: 400, code: "ExpiredToken" })
  await assert.rejects(readAll(s3Source(place)), (error) => isFault(error, "refused"))
  proxy.fail = ({ key }) => (key === "" ? { status: 403, code: "AccessDenied" } : null)
  await assert.rejects(readAll(s3Source(place)), (error) => isFault(error, "refused"))
})

test("large objects are read by four ranges at once, and what is read ahead is bounded", async () => {
  const { place, proxy, put } = await makeBucket()
  const eight = noise(8_000_000)
  await put("0", noise(60_000_000))
  for (let i = 1; i < 9; i++) await put(String(i), eight)
  const source = s3Source({ ...place, tags: false })
  const entries = (await collect(source.entries(signal))).flat().filter(({ type }) => type === "f")
  const opened = await Promise.all(
    entries.map(({ content }) => (content?.kind === "stream" ? content.open(signal) : assert.fail())),
  )
  const whole = proxy.asked.filter((asked) => isContent(asked) && asked.range === "").length
  assert.equal(whole, 4, "of eight, what fits 32 MiB is fetched before its turn")
  proxy.most = 0
  for (const { bytes } of opened) for await (const piece of bytes) assert.ok(piece.length <= 8_388_608)
  assert.ok(proxy.most > 1 && proxy.most <= 4, String(proxy.most))
})
