// What of a bucket is backed up, as the command and its configuration say it: older versions, tags, and parts of the keys,
// so that several sources share a prefix. From moto over HTTP, with the real command.

import assert from "node:assert/strict"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import {
  CreateBucketCommand,
  GetObjectTaggingCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { exitCode } from "@backup-cloud/format"
import { type Moto, startMoto } from "../../store/test/moto.ts"
import { World } from "./world.ts"

const world = new World()
const access = { region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" } }
const keys = Array.from({ length: 24 }, (_, i) => `${i % 3}/object-${i}`)
let moto: Moto
let s3: S3Client

before(async () => {
  moto = await startMoto()
  // Started commands find their rights as AWS's own tools do.
  process.env["AWS_ACCESS_KEY_ID"] = access.credentials.accessKeyId
  process.env["AWS_SECRET_ACCESS_KEY"] = access.credentials.secretAccessKey
  mkdirSync(world.file("data"))
  world.start(world.file("data"))
  s3 = new S3Client({ ...access, endpoint: moto.endpoint, forcePathStyle: true })
  for (const Bucket of ["versioned", "many"]) await s3.send(new CreateBucketCommand({ Bucket }))
  const VersioningConfiguration = { Status: "Enabled" } as const
  await s3.send(new PutBucketVersioningCommand({ Bucket: "versioned", VersioningConfiguration }))
  for (const Body of ["old", "new"])
    await s3.send(new PutObjectCommand({ Bucket: "versioned", Key: "a", Body, Tagging: "who=us" }))
  for (const key of keys) await s3.send(new PutObjectCommand({ Bucket: "many", Key: `in/${key}`, Body: key }))
})
after(async () => {
  s3.destroy()
  world.end()
  await moto.close()
})

const url = (place: string): string => `s3://${place}?region=us-east-1&endpoint=${encodeURIComponent(moto.endpoint)}`

let releases = 0
/** A release of a source's latest run. */
const released = (name: string): string => world.release(`${name}@latest`, `release ${++releases}`)

/** Regular files of a source's latest run. */
function filesOf(name: string, release = released(name)): string[] {
  const files = world.ok("oscar", "files", `${name}@latest`, "--release", release, "--json")
  return [...files.matchAll(/"path":"([^"]+)","type":"f"/g)].map((match) => match[1] ?? "")
}

function restore(name: string, release: string, to: string, ...options: string[]): void {
  world.ok("oscar", "restore", `${name}@latest`, "--release", release, "--to", to, ...options)
}

test("older versions come along where they are asked for, and tags unless they are not", async () => {
  world.ok("admin", "source", "add", "present", url("versioned"))
  world.ok("admin", "source", "add", "all", url("versioned"), "--versions", "--no-tags")
  world.ok("admin", "backup", "present", "all")
  const present = released("present")
  const all = released("all")
  assert.deepEqual(filesOf("present", present), ["a"])
  const files = filesOf("all", all)
  assert.equal(files.length, 2)
  const old = files.find((path) => path.startsWith(".s3-versions/")) ?? ""
  const target = world.file("all versions")
  restore("all", all, target)
  assert.deepEqual([readFileSync(join(target, "a"), "utf8"), readFileSync(join(target, old), "utf8")], ["new", "old"])
  restore("present", present, url("many/present"))
  restore("all", all, url("many/all"))
  const tags = async (name: string): Promise<unknown> =>
    (await s3.send(new GetObjectTaggingCommand({ Bucket: "many", Key: `${name}/a` }))).TagSet
  assert.deepEqual(await tags("present"), [{ Key: "who", Value: "us" }])
  assert.deepEqual(await tags("all"), [])
})

test("a prefix is divided among sources, each key in one; together they come back", async () => {
  const before = readdirSync(join(world.archive, "config")).filter((name) => /^policy-.*json$/.test(name)).length
  const said = world.ok("admin", "source", "add", "parts", url("many/in"), "--shards", "2", "--schedule", "each night")
  assert.match(said, /parts-00, parts-01 are in/)
  const policies = readdirSync(join(world.archive, "config")).filter((name) => /^policy-.*json$/.test(name)).length
  assert.equal(policies, before + 1, "one policy enrols them all")
  const names = ["parts-00", "parts-01"]
  world.ok("admin", "backup", ...names)
  const parts = names.map((name) => {
    const release = released(name)
    restore(name, release, url("many/back"), "--into-existing")
    return filesOf(name, release)
  })
  assert.deepEqual(parts.flat().sort(), keys.toSorted())
  for (const part of parts) assert.ok(part.length > 0)
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: "many", Prefix: "back/" }))
  assert.deepEqual(
    Contents.map(({ Key = "" }) => Key.slice("back/".length)).filter((key) => !key.startsWith(".")),
    keys.toSorted(),
  )
  world.fails("admin", exitCode.conflict, "source", "add", "parts", url("many/in"), "--shards", "2")
})

test("a machine of its own has one part, and a range of keys is one too", () => {
  mkdirSync(world.file("machine"), { mode: 0o700 })
  world.ok("machine", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  const certificate = world.file("part.asc")
  world.ok("machine", "source", "keygen", "part", url("many/in"), "--shard", "1/2", "--out", certificate)
  world.ok("admin", "source", "add", "part", url("many/in"), "--certificate", certificate)
  world.ok("machine", "backup", "part")
  assert.deepEqual(filesOf("part"), filesOf("parts-01"))
  const config = join(world.file("machine"), "backup-cloud.yaml")
  const text = readFileSync(config, "utf8")
  const range = text.replace(/shard:\n +index: 1\n +count: 2/, "shard: { from: 1/, to: 2/ }")
  assert.notEqual(range, text)
  writeFileSync(config, range)
  world.ok("machine", "backup", "part")
  assert.deepEqual(filesOf("part"), keys.filter((key) => key.startsWith("1/")).toSorted())
  for (const wrong of [
    "{ index: 1 }",
    "{ index: 3, count: 3 }",
    "{ from: a, index: 0, count: 1 }",
    "{ from: b, to: a }",
  ]) {
    writeFileSync(config, text.replace(/shard:\n +index: 1\n +count: 2/, `shard: ${wrong}`))
    assert.match(world.fails("machine", exitCode.usage, "backup", "part"), /part|come after/, wrong)
  }
})

test("what does not fit makes nothing", () => {
  const count = world.ok("admin", "source", "list").split("\n").length
  for (const options of [
    [url("many/in"), "--shards", "1"],
    [url("many/in"), "--shards", "1001"],
    [url("many/in"), "--shard", "3/3"],
    [url("many/in"), "--shard", "1"],
    [url("many/in"), "--shard", "1/3", "--shards", "3"],
    [url("many/in"), "--shards", "3", "--certificate", world.file("part.asc")],
    [`dir://${world.file("data")}`, "--versions"],
    ["command:", "--stream", "a=b", "--shard", "0/2"],
    ["ssm:/app", "--shards", "2"],
  ] as [string, ...string[]][])
    world.fails("admin", exitCode.usage, "source", "add", "wrong", ...options)
  assert.equal(world.ok("admin", "source", "list").split("\n").length, count)
})
