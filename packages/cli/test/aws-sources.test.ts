// Buckets and parameters as sources, with the real command: backed up from moto over HTTP, restored into a directory and,
// parameters, back.

import assert from "node:assert/strict"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { GetParameterCommand, PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm"
import { exitCode } from "@backup-cloud/format"
import { type Moto, startMoto } from "../../store/test/moto.ts"
import { World } from "./world.ts"

const world = new World()
const access = { region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" } }
let moto: Moto
let s3: S3Client
let ssm: SSMClient

before(async () => {
  moto = await startMoto()
  // Started commands find their rights as AWS's own tools do.
  process.env["AWS_ACCESS_KEY_ID"] = access.credentials.accessKeyId
  process.env["AWS_SECRET_ACCESS_KEY"] = access.credentials.secretAccessKey
  const data = world.file("data")
  mkdirSync(data)
  writeFileSync(join(data, "file"), "x")
  world.start(data)
  s3 = new S3Client({ ...access, endpoint: moto.endpoint, forcePathStyle: true })
  await s3.send(new CreateBucketCommand({ Bucket: "uploads" }))
  for (const [Key, Body] of [
    ["in/a", "1"],
    ["in/a/b", "22"],
    ["in/c", "333"],
    ["out", "no"],
  ] as const)
    await s3.send(new PutObjectCommand({ Bucket: "uploads", Key, Body, Metadata: { owner: "us" } }))
  ssm = new SSMClient({ ...access, endpoint: moto.endpoint })
  await put("/app/name", "web", "String")
  await put("/app/password", "open sesame", "SecureString")
})
after(async () => {
  s3.destroy()
  ssm.destroy()
  world.end()
  await moto.close()
})

async function put(Name: string, Value: string, Type: "String" | "SecureString"): Promise<void> {
  await ssm.send(new PutParameterCommand({ Name, Value, Type, Overwrite: true }))
}

async function value(Name: string): Promise<string | undefined> {
  return (await ssm.send(new GetParameterCommand({ Name, WithDecryption: true }))).Parameter?.Value
}

const query = (): string => `?region=us-east-1&endpoint=${encodeURIComponent(moto.endpoint)}`

test("a bucket is backed up, and only what changed is stored again; it comes back as files and as objects", async () => {
  world.ok("admin", "source", "add", "uploads", `s3://uploads/in${query()}`)
  world.ok("admin", "backup", "uploads")
  world.ok("admin", "backup", "uploads")
  const target = world.file("objects")
  const release = world.release("uploads@latest", "of objects")
  world.ok("oscar", "restore", "uploads@latest", "--release", release, "--to", target)
  const files = world.ok("oscar", "files", "uploads@latest", "--release", release, "--json")
  const paths = [...files.matchAll(/"path":"([^"]+)","type":"f"/g)].map((match) => match[1] ?? "")
  assert.deepEqual(paths.map((path) => readFileSync(join(target, path), "utf8")).toSorted(), ["1", "22", "333"])
  world.ok("admin", "verify")
  const back = ["restore", "uploads@latest", "--release", release, "--to", `s3://uploads/back${query()}`]
  world.ok("oscar", ...back, "--verify")
  const object = await s3.send(new GetObjectCommand({ Bucket: "uploads", Key: "back/a/b" }))
  assert.equal(await object.Body?.transformToString(), "22")
  assert.deepEqual(object.Metadata, { owner: "us" })
  world.fails("oscar", exitCode.conflict, ...back)
})

test("parameters come back where they are gone, and nothing that differs is replaced unasked", async () => {
  world.ok("admin", "source", "add", "parameters", `ssm:/app${query()}`)
  const said = world.as("admin", "backup", "parameters", "--json")
  assert.equal(said.status, 0, said.stderr)
  assert.doesNotMatch(said.stdout + said.stderr, /sesame/)
  const release = world.release("parameters@latest", "of parameters")
  const restore = ["restore", "parameters@latest", "--release", release, "--to"]
  world.ok("oscar", ...restore, `ssm:/copy${query()}`)
  assert.equal(await value("/copy/app/password"), "open sesame")
  await put("/app/name", "changed", "String")
  const differs = world.fails("oscar", exitCode.differs, ...restore, `ssm:/${query()}`)
  assert.match(differs, /app\/name/)
  assert.equal(await value("/app/name"), "changed")
  world.ok("oscar", ...restore, `ssm:/${query()}`, "--overwrite")
  assert.equal(await value("/app/name"), "web")
})

test("parameters go out as JSON and come in again through a pipe", async () => {
  const json = world.ok("admin", "ssm", "export", `ssm:/app${query()}`)
  assert.deepEqual(JSON.parse(json), {
    "/app/name": { type: "String", value: "web", description: "" },
    "/app/password": { type: "SecureString", value: "open sesame", description: "" },
  })
  const moved = json.replaceAll("/app/", "/moved/")
  const input = ["ssm", "import", `ssm:/${query()}`]
  assert.match(world.fed("admin", moved, ...input).stdout, /^2 parameters written, 0 were there/)
  assert.equal(await value("/moved/password"), "open sesame")
  assert.match(world.fed("admin", moved, ...input).stdout, /^0 parameters written, 2 were there and equal/)
  const other = world.fed("admin", moved.replace("web", "changed"), ...input)
  assert.equal(other.status, exitCode.differs)
  assert.match(other.stderr, /moved\/name/)
  assert.equal(await value("/moved/name"), "web")
  assert.equal(world.fed("admin", moved.slice(0, -10), ...input, "--overwrite").status, exitCode.usage)
})

test("what a URL cannot mean is refused before anything is made", () => {
  for (const url of ["s3://", "s3://b?color=red", "ssm:app", "s3://user@bucket/x", "http://bucket/"])
    world.fails("admin", exitCode.usage, "source", "add", "wrong", url)
  world.fails("admin", exitCode.usage, "source", "add", "wrong", "s3://bucket", "--exclude", "x")
})
