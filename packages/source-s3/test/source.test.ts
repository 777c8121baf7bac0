import assert from "node:assert/strict"
import { test } from "node:test"
import { DeleteObjectCommand } from "@aws-sdk/client-s3"
import { isFault, toByteString } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { type SourceWorld, sourceContract } from "../../backup/test/source-contract.ts"
import { noise } from "../../store/test/helpers.ts"
import { s3Source, shardRanges } from "../src/index.ts"
import { readAll, useMoto } from "./buckets.ts"

const { makeBucket } = useMoto()
const LARGE = Buffer.from(noise(20_000_000))

/** Small and large objects, an empty one, and one beside others below its key; all about them that S3 keeps. */
async function openWorld(): Promise<SourceWorld> {
  const { place, proxy, put, client } = await makeBucket({ prefix: "/some/place/" })
  const content = new Map([
    ["a/.s3-self", "an object"],
    ["a/b", "below it"],
    ["empty", ""],
    ["large", LARGE.toString("latin1")],
    [toByteString("ü b+c%41"), "a name"],
  ])
  const keyOf = (path: string): string =>
    `some/place/${path === "a/.s3-self" ? "a" : Buffer.from(path, "latin1").toString()}`
  const about = {
    Metadata: { one: "1" },
    ContentType: "text/x",
    Tagging: "t=1&u=a%20b",
    StorageClass: "STANDARD_IA",
  } as const
  for (const [path, text] of content) await put(keyOf(path), Buffer.from(text, "latin1"), about)
  await put("some/placebo", "not below the prefix")
  return {
    source: s3Source(place),
    content: () => content,
    attributes: (path) => ({
      "s3.meta.one": "1",
      "s3.content-type": "text/x",
      "s3.tags": "t=1&u=a%20b",
      "s3.storage-class": "STANDARD_IA",
      ...(path === "a/.s3-self" ? { "s3.key": "a" } : {}),
    }),
    async change() {
      content.set("a/b", "changed")
      await put("some/place/a/b", "changed", about)
      return "a/b"
    },
    async breakOff() {
      content.set("large", content.get("large")!.replace(/^./s, "x"))
      await put("some/place/large", Buffer.from(content.get("large")!, "latin1"), about)
      proxy.fail = ({ range }) => (range.startsWith("bytes=8388608-") ? { cutAfter: 1000 } : null)
      return async () => {
        proxy.fail = () => null
      }
    },
    async lose() {
      const Key = "some/place/a/b"
      proxy.fail = async ({ method, key }) => {
        if (method === "GET" && key === Key) await client.send(new DeleteObjectCommand({ Bucket: place.bucket, Key }))
        return null
      }
      return { path: "a/b", word: "ENOENT" }
    },
  }
}

sourceContract("s3", { broken: "unavailable", loses: true }, openWorld)

test("all that S3 keeps of an object is kept", async () => {
  const { place, put } = await makeBucket()
  await put("x", "hello", {
    Metadata: { one: "1", uml: "=?UTF-8?B?w7w=?=" },
    CacheControl: "no-cache",
    ContentDisposition: "inline",
    ContentEncoding: "br",
    ContentLanguage: "de",
    ContentType: "text/x",
    Expires: new Date("2030-01-01T00:00:00Z"),
    WebsiteRedirectLocation: "/there",
    Tagging: "a=b&%C3%BC=%20%2B",
    StorageClass: "ONEZONE_IA",
    ServerSideEncryption: "aws:kms",
    SSEKMSKeyId: "key-1",
    ChecksumAlgorithm: "SHA256",
  })
  const found = (await readAll(s3Source(place))).get("x")
  assert.deepEqual(found?.attributes, {
    "s3.etag": "5d41402abc4b2a76b9719d911017c592",
    "s3.storage-class": "ONEZONE_IA",
    "s3.meta.one": "1",
    "s3.meta.uml": "=?UTF-8?B?w7w=?=",
    "s3.cache-control": "no-cache",
    "s3.content-disposition": "inline",
    "s3.content-encoding": "br",
    "s3.content-language": "de",
    "s3.content-type": "text/x",
    "s3.expires": "Tue, 01 Jan 2030 00:00:00 GMT",
    "s3.website-redirect": "/there",
    "s3.tags": "a=b&%C3%BC=%20%2B",
    "s3.sse": "aws:kms",
    "s3.sse-key": "key-1",
    "s3.checksum.sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
  })
  const { type, mode, uid, gid, size } = found.entry
  assert.deepEqual({ type, mode, uid, gid, size }, { type: "f", mode: 0o644, uid: 0, gid: 0, size: 5 })
  assert.match(found.entry.mtime, /^[0-9]+\.000000000$/)
})

test("strange keys are listed and read, in pages", async () => {
  const { place, put } = await makeBucket()
  const keys = ["a b+c%41ü", "a//b", "a/", "a", "x/../y", "./z", "ctl\u0001x", "/lead", "&amp;<", "+"]
  for (const key of keys) await put(key, `of ${key}`)
  const found = [...(await readAll(s3Source(place))).values()]
  const told = found.map(({ entry, attributes, content }) => [attributes["s3.key"] ?? entry.path, String(content)])
  assert.deepEqual(told.toSorted(), keys.map((key) => [toByteString(key), `of ${key}`]).toSorted())
})

test("older versions are kept on request, apart from the current ones", async () => {
  const { place, put, client } = await makeBucket({ prefix: "p", versions: true })
  for (const body of ["one", "two", "three"]) await put("p/a", body)
  await put("p/gone", "was here")
  await client.send(new DeleteObjectCommand({ Bucket: place.bucket, Key: "p/gone" }))
  const current = await readAll(s3Source(place))
  assert.deepEqual(
    [...current].map(([path, { content }]) => [path, String(content)]),
    [["a", "three"]],
  )
  const source = s3Source({ ...place, versions: true })
  const all = await readAll(source)
  assert.deepEqual([...all.values()].map(({ content }) => String(content)).toSorted(), [
    "one",
    "three",
    "two",
    "was here",
  ])
  for (const [path, { attributes }] of all) {
    const version = attributes["s3.version"] ?? ""
    if (path === "a") assert.equal(version, current.get("a")?.attributes["s3.version"])
    else assert.match(path, new RegExp(`^\\.s3-versions/(a|gone)/\\.s3-version-${version}$`))
    assert.equal(attributes["s3.old"], path === "a" ? undefined : "1")
  }
  assert.deepEqual(source.identity, ["s3.etag", "s3.version"])
})

test("shards of a prefix are listed apart and make up the whole", async () => {
  const { place, proxy, put } = await makeBucket({ prefix: "p" })
  const keys = Array.from({ length: 40 }, (_, i) => `uploads/${(i * 6).toString(16).padStart(2, "0")}`)
  for (const key of keys) await put(`p/${key}`, key)
  const ranges = shardRanges(["uploads/40", "uploads/8", "uploads/c0"])
  const shares = Array.from({ length: 4 }, (_, index) => ({ index, count: 4 }))
  for (const shards of [ranges, shares]) {
    const parts = []
    for (const shard of shards) parts.push([...(await readAll(s3Source({ ...place, shard }))).keys()])
    assert.ok(parts.every((part) => part.length > 0 && part.length < 40))
    assert.deepEqual(parts.flat().toSorted(), keys)
  }
  const starts = proxy.asked.map(({ query }) => query.get("start-after")).filter((each) => each !== null)
  assert.deepEqual(starts, ["p/uploads/4/\u{10ffff}", "p/uploads/7\u{10ffff}", "p/uploads/c/\u{10ffff}"])
})

test("objects in an archive class are reported, and others are read", async () => {
  const { place, put } = await makeBucket()
  await put("cold", "brr", { StorageClass: "GLACIER" })
  await put("colder", noise(9_000_000), { StorageClass: "DEEP_ARCHIVE" })
  await put("warm", "here")
  const found = await readAll(s3Source(place))
  assert.deepEqual(
    [...found].map(([path, { content }]) => [path, String(content)]),
    [
      ["cold", "GLACIER"],
      ["colder", "GLACIER"],
      ["warm", "here"],
    ],
  )
  assert.equal(found.get("cold")?.attributes["s3.storage-class"], "GLACIER")
})

test("a bucket that is not there is an error, an empty one is not", async () => {
  const { place } = await makeBucket()
  assert.deepEqual([...(await readAll(s3Source(place))).keys()], [])
  await assert.rejects(readAll(s3Source({ ...place, bucket: "no-such-bucket" })), (error) =>
    isFault(error, "not-found"),
  )
})

test("an object whose tags could not be read is read again, until they can", async () => {
  const { place, proxy, put } = await makeBucket()
  await put("x", "hello", { Tagging: "a=b" })
  const machine = await makeMachine(s3Source(place))
  proxy.fail = ({ query }) => (query.has("tagging") ? { status: 403, code: "AccessDenied" } : null)
  const first = await machine.backup(machine.store)
  assert.deepEqual([first.outcome, [...first.errors]], ["partial", [["lacks-tags", 1]]])
  proxy.fail = () => null
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
})

test("tags are not asked for where they are not wanted", async () => {
  const { place, proxy, put } = await makeBucket()
  await put("x", "hello", { Tagging: "a=b" })
  const found = await readAll(s3Source({ ...place, tags: false }))
  assert.equal(found.get("x")?.attributes["s3.tags"], undefined)
  assert.ok(proxy.asked.every(({ query }) => !query.has("tagging")))
  assert.equal((await readAll(s3Source(place))).get("x")?.attributes["s3.tags"], "a=b")
})
