// Whole runs back into buckets of moto's and into a directory.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import {
  GetBucketEncryptionCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketEncryptionCommand,
} from "@aws-sdk/client-s3"
import { isFault, type Target } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot, planRestore, type RestoreResult, restore } from "../../restore/src/index.ts"
import { dirSource, dirTarget } from "../../source-dir/src/index.ts"
import { noise, signal } from "../../store/test/helpers.ts"
import { type S3Place, s3Source, s3Target } from "../src/index.ts"
import { readAll, type TestBucket, useMoto } from "./buckets.ts"

const { makeBucket } = useMoto()
const LARGE = noise(20_000_000)

async function bring(machine: Machine, target: Target): Promise<RestoreResult> {
  const view = await machine.view(machine.store, "latest")
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  return await restore({ view, plan, target, what: "this", verify: true, onEvent: () => undefined, signal })
}

async function backedUp(place: S3Place): Promise<Machine> {
  const machine = await makeMachine(s3Source(place))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  return machine
}

async function keysOf({ client, place }: TestBucket): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: place.bucket }))
  return Contents.map(({ Key = "" }) => Key)
}

async function contentOf(place: S3Place): Promise<Record<string, string>> {
  const found = await readAll(s3Source(place))
  return Object.fromEntries([...found].map(([path, { content }]) => [path, String(content)]))
}

/** A bucket with a few objects of every kind, and a run of it. */
async function open(): Promise<{ from: TestBucket; machine: Machine }> {
  const from = await makeBucket({ prefix: "from" })
  const about = {
    Metadata: { one: "1", uml: "=?UTF-8?B?w7w=?=" },
    CacheControl: "no-cache",
    ContentDisposition: "inline",
    ContentEncoding: "br",
    ContentLanguage: "de",
    ContentType: "text/x",
    Expires: new Date("2030-01-01T00:00:00Z"),
    WebsiteRedirectLocation: "/there",
    Tagging: "a=b&%C3%BC=%20",
    StorageClass: "STANDARD_IA",
  } as const
  for (const key of ["a", "a/b", "a//b", "folder/", "./x", "ü b+c%41"]) await from.put(`from/${key}`, key, about)
  await from.put("from/large", LARGE, about)
  await from.put("from/bare", "nothing about it")
  await from.put("from/empty", "")
  return { from, machine: await backedUp(from.place) }
}

test("a run comes back into another bucket with all that was kept, and leaves nothing else there", async () => {
  const { from, machine } = await open()
  const to = await makeBucket({ prefix: "to/here" })
  const result = await bring(machine, s3Target(to.place))
  assert.deepEqual([result.files, result.resumed, result.problems], [9, 0, []])
  const [before, after] = [await readAll(s3Source(from.place)), await readAll(s3Source(to.place))]
  assert.deepEqual([...after.keys()], [...before.keys()])
  for (const [path, { attributes, content }] of before) {
    const got = after.get(path)
    assert.ok((content as Buffer).equals(got?.content as Buffer), path)
    assert.deepEqual(lasting(got?.attributes ?? {}), lasting(attributes), path)
  }
  assert.equal((await keysOf(to)).length, 9)
  const uploads = await to.client.send(new ListMultipartUploadsCommand({ Bucket: to.place.bucket }))
  assert.deepEqual(uploads.Uploads ?? [], [])
  assert.ok(
    to.proxy.asked.some(({ query }) => query.has("uploads")),
    "the large one went in parts",
  )
})

/** Without what the server chooses: checksums, and the ETag, which of an object in parts is one of the parts. */
const lasting = (attributes: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !/^s3\.(etag|checksum.*)$/.test(name)))

test("older versions come back as objects of their own", async () => {
  const from = await makeBucket({ versions: true })
  for (const body of ["one", "two"]) await from.put("a", body)
  const machine = await makeMachine(s3Source({ ...from.place, versions: true }))
  await machine.backup(machine.store)
  const to = await makeBucket()
  await bring(machine, s3Target(to.place))
  const keys = await keysOf(to)
  assert.match(keys.join(), /^\.s3-versions\/a\/\.s3-version-[^,]+,a$/)
  assert.deepEqual(Object.values(await contentOf(to.place)).toSorted(), ["one", "two"])
})

test("a run comes back into a directory, an object beside others below its key too", async (t) => {
  const { machine } = await open()
  const root = mkdtempSync(join(tmpdir(), "s3-to-dir-"))
  t.after(() => {
    rmSync(root, { recursive: true })
  })
  assert.deepEqual((await bring(machine, dirTarget({ root: join(root, "to") }))).problems, [])
  const content = (path: string): string => readFileSync(join(root, "to", path), "utf8")
  assert.deepEqual(
    ["a/.s3-self", "a/b", "a/.s3-empty/b", "folder/.s3-empty", ".s3-dot/x", "ü b+c%41", "bare"].map(content),
    ["a", "a/b", "a//b", "folder/", "./x", "ü b+c%41", "nothing about it"],
  )
  const stat = statSync(join(root, "to", "a/b"))
  assert.equal(stat.mode & 0o7777, 0o644)
  assert.equal(statSync(join(root, "to", "a")).mode & 0o7777, 0o755)
  assert.equal(stat.mtimeMs, (await timesOf(machine)).get("a/b"))
})

/** Milliseconds since 1970, by path. */
async function timesOf(machine: Machine): Promise<Map<string, number>> {
  const view = await machine.view(machine.store, "latest")
  const times = new Map<string, number>()
  for await (const { path, mtime } of catalogueEntries(view, await openRoot(view, signal), signal))
    times.set(path, Number(mtime) * 1000)
  return times
}

test("nothing is overwritten unless that was asked for", async () => {
  const from = await makeBucket()
  await from.put("x", "of the backup")
  await from.put("y", "of both")
  const machine = await backedUp(from.place)
  const to = await makeBucket()
  await to.put("x", "of somebody else")
  await to.put("y", "of both")
  await to.put("z", "besides")
  const conflict = (error: unknown): boolean => isFault(error, "conflict")
  await assert.rejects(bring(machine, s3Target(to.place)), conflict)
  await assert.rejects(bring(machine, s3Target({ ...to.place, intoExisting: true })), conflict)
  assert.equal((await contentOf({ ...to.place, prefix: "" }))["x"], "of somebody else")
  const fresh = { ...to.place, prefix: "fresh" }
  // Somebody is faster: the server refuses what was not there a moment ago.
  to.proxy.fail = async ({ method, key }) => {
    if (method === "PUT" && key === "fresh/x") await to.put("fresh/x", "of somebody faster")
    return null
  }
  await assert.rejects(bring(machine, s3Target(fresh)), conflict)
  assert.equal((await contentOf(fresh))["x"], "of somebody faster")
  to.proxy.fail = () => null
  const result = await bring(machine, s3Target({ ...to.place, overwrite: true }))
  assert.equal(result.resumed, 1, "what is the same already is left")
  const { x, y, z } = await contentOf(to.place)
  assert.deepEqual({ x, y, z }, { x: "of the backup", y: "of both", z: "besides" })
})

test("a large object is not overwritten either, and what was put together of it is given up", async () => {
  const from = await makeBucket()
  await from.put("large", LARGE)
  const machine = await backedUp(from.place)
  const to = await makeBucket()
  to.proxy.fail = async ({ method, key, query }) => {
    if (method === "POST" && query.has("uploadId")) await to.put(key, "of somebody faster")
    return null
  }
  await assert.rejects(bring(machine, s3Target(to.place)), (error) => isFault(error, "conflict"))
  const uploads = await to.client.send(new ListMultipartUploadsCommand({ Bucket: to.place.bucket }))
  assert.deepEqual(uploads.Uploads ?? [], [])
  assert.equal((await contentOf(to.place))["large"], "of somebody faster")
})

test("an upload whose answer was lost is no conflict with itself", async () => {
  const from = await makeBucket()
  await from.put("large", LARGE)
  await from.put("small", "small", { ContentType: "text/x" })
  const machine = await backedUp(from.place)
  const to = await makeBucket()
  const lost = new Set<string>()
  to.proxy.fail = ({ method, key, query }) => {
    const creates = method === "POST" ? query.has("uploadId") : method === "PUT" && key === "small"
    if (!creates || lost.has(key)) return null
    lost.add(key)
    return { lostReply: true }
  }
  await bring(machine, s3Target(to.place))
  assert.deepEqual([...lost].toSorted(), ["large", "small"])
  assert.deepEqual(await keysOf(to), ["large", "small"])
})

test("an interrupted restore is gone on with, and of something else refused", async () => {
  const { from, machine } = await open()
  const to = await makeBucket({ prefix: "to" })
  let puts = 0
  to.proxy.fail = ({ method, key }) =>
    method === "PUT" && !key.includes(".backup-cloud") && ++puts > 4 ? { status: 403, code: "AccessDenied" } : null
  await assert.rejects(bring(machine, s3Target(to.place)), (error) => isFault(error, "refused"))
  to.proxy.fail = () => null
  const other = s3Target({ ...to.place, intoExisting: true })
  await assert.rejects(other.begin("that", signal), (error) => isFault(error, "conflict"))
  const result = await bring(machine, s3Target(to.place))
  assert.equal(result.resumed, 4)
  assert.equal(result.files, 9)
  const [before, after] = [await readAll(s3Source(from.place)), await readAll(s3Source(to.place))]
  assert.deepEqual([...after.keys()], [...before.keys()])
})

test("what was encrypted with a key of KMS does not come to lie with less, unless that was allowed", async () => {
  const from = await makeBucket()
  await from.put("secret", "hush", { ServerSideEncryption: "aws:kms", SSEKMSKeyId: "key-1" })
  const machine = await backedUp(from.place)
  const setDefault = async ({ client, place }: TestBucket, SSEAlgorithm: "AES256" | "aws:kms"): Promise<void> => {
    const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm } }]
    await client.send(
      new PutBucketEncryptionCommand({ Bucket: place.bucket, ServerSideEncryptionConfiguration: { Rules } }),
    )
  }
  const refused = (error: unknown): boolean =>
    isFault(error, "refused") && /secret was encrypted with aws:kms/.test(error.message)
  const none = await makeBucket()
  const ask = new GetBucketEncryptionCommand({ Bucket: none.place.bucket })
  await assert.rejects(none.client.send(ask), "a bucket of moto's has no default")
  const s3 = await makeBucket()
  await setDefault(s3, "AES256")
  const kms = await makeBucket()
  await setDefault(kms, "aws:kms")
  for (const { place } of [none, s3]) {
    await assert.rejects(bring(machine, s3Target(place)), refused)
    assert.equal((await contentOf(place))["secret"], undefined)
  }
  await bring(machine, s3Target(kms.place))
  await bring(machine, s3Target({ ...none.place, allowWeakerEncryption: true }))
  await bring(machine, s3Target({ ...s3.place, encryption: { kind: "aws:kms", key: "key-2" } }))
  const sse = async ({ place }: TestBucket) => {
    const attributes = (await readAll(s3Source(place))).get("secret")?.attributes ?? {}
    return [attributes["s3.sse"], attributes["s3.sse-key"]]
  }
  assert.equal((await sse(kms))[0], "aws:kms")
  assert.deepEqual(await sse(none), [undefined, undefined])
  assert.deepEqual(await sse(s3), ["aws:kms", "key-2"])
  const weak = await makeBucket()
  const target = s3Target({ ...weak.place, encryption: { kind: "AES256" } })
  await assert.rejects(bring(machine, target), refused)
})

test("no object is restored into the folder that the restore clears", async () => {
  const from = await makeBucket()
  await from.put(".backup-cloud-restore-0/x", "left")
  const machine = await backedUp(from.place)
  const to = await makeBucket()
  await assert.rejects(bring(machine, s3Target(to.place)), (error) => isFault(error, "refused"))
})

test("a directory comes into a bucket, and what is no object is told", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "dir-to-s3-"))
  t.after(() => {
    rmSync(root, { recursive: true })
  })
  mkdirSync(join(root, "folder"))
  writeFileSync(join(root, "folder", "file"), "content")
  symlinkSync("file", join(root, "folder", "link"))
  execFileSync("mkfifo", [join(root, "pipe")])
  const machine = await makeMachine(dirSource({ root }))
  await machine.backup(machine.store)
  const to = await makeBucket({ prefix: "to" })
  const { problems } = await bring(machine, s3Target({ ...to.place, storageClass: "STANDARD_IA" }))
  assert.deepEqual(
    problems.map(({ path, expected }) => [path, expected]),
    [
      ["folder/link", false],
      ["pipe", false],
    ],
  )
  assert.deepEqual(await keysOf(to), ["to/folder/file"])
  const found = (await readAll(s3Source(to.place))).get("folder/file")
  assert.deepEqual([String(found?.content), found?.attributes["s3.storage-class"]], ["content", "STANDARD_IA"])
})
