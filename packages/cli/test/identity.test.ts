// A source whose keys and memory are parameters: a process without a home backs up with nothing but two variables, notices
// what a machine with a home would notice, and leaves nothing behind.

import assert from "node:assert/strict"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import {
  DeleteParameterCommand,
  GetParameterCommand,
  GetParametersByPathCommand,
  PutParameterCommand,
  SSMClient,
} from "@aws-sdk/client-ssm"
import { exitCode } from "@backup-cloud/format"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { run } from "./run.ts"
import { type Ended, World } from "./world.ts"

const world = new World()
const data = world.file("data")
const empty = world.file("empty")
const PATH = "/backup-cloud/identity/notes"
let moto: Moto
let ssm: SSMClient
let identity = ""

before(async () => {
  moto = await startMoto()
  ssm = new SSMClient({ region: "us-east-1", endpoint: moto.endpoint, credentials: anybody })
  identity = `ssm:${PATH}/?region=us-east-1&endpoint=${encodeURIComponent(moto.endpoint)}`
  process.env["AWS_ACCESS_KEY_ID"] = anybody.accessKeyId
  process.env["AWS_SECRET_ACCESS_KEY"] = anybody.secretAccessKey
  for (const folder of [data, empty]) mkdirSync(folder)
  writeFileSync(join(data, "letter"), "Dear all,\n")
  world.start(data)
})
after(async () => {
  ssm.destroy()
  world.end()
  await moto.close()
})

/** Runs the command where there is no home and no configuration. */
async function bare(more: Readonly<Record<string, string>>, ...args: string[]): Promise<Ended> {
  const env = {
    PATH: process.env["PATH"] ?? "",
    AWS_ACCESS_KEY_ID: anybody.accessKeyId,
    AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey,
    HOME: join(empty, "none"),
    TMPDIR: empty,
    BACKUP_CLOUD_ARCHIVE: world.archive,
    ...more,
  }
  return await run({ cwd: empty, env }, ...args)
}

const backup = async (...args: string[]): Promise<Ended> =>
  await bare({ BACKUP_CLOUD_IDENTITY: identity }, "backup", ...args)

async function value(name: string): Promise<string> {
  const got = await ssm.send(new GetParameterCommand({ Name: `${PATH}/${name}`, WithDecryption: true }))
  return got.Parameter?.Value ?? ""
}

async function put(name: string, Value: string): Promise<void> {
  await ssm.send(new PutParameterCommand({ Name: `${PATH}/${name}`, Value, Type: "SecureString", Overwrite: true }))
}

test("keys, place and trust are put below the path, sealed by the service, and nothing there is replaced", async () => {
  const certificate = world.file("notes.asc")
  const make = ["source", "keygen", "notes", `dir://${data}`, "--identity", identity]
  world.ok("admin", ...make, "--out", certificate)
  const { Parameters = [] } = await ssm.send(new GetParametersByPathCommand({ Path: PATH, WithDecryption: true }))
  const found = Parameters.map(({ Name = "", Type }) => [Name.slice(PATH.length + 1), Type])
  const names = ["secret", "signing-key", "source", "trust"]
  assert.deepEqual(
    found.toSorted(),
    names.map((name) => [name, "SecureString"]),
  )
  assert.match(world.fails("admin", exitCode.conflict, ...make), /signing-key is there already/)
  assert.deepEqual(readdirSync(world.file("admin/backup-cloud/sources")), ["docs"])
  world.ok("admin", "source", "add", "notes", `dir://${data}`, "--certificate", certificate)
})

test("a process without a home backs up, and leaves no file behind", async () => {
  const without = await bare({}, "backup", "notes")
  assert.equal(without.status, exitCode.refused, without.stderr)
  const { status, stdout, stderr } = await backup("notes")
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^notes: complete, 2 entries/)
  assert.deepEqual(readdirSync(empty), [])
  for (const secret of [await value("secret"), (await value("signing-key")).slice(200, 260)])
    assert.ok(!(stdout + stderr).includes(secret))
  world.ok("oscar", "verify")
  const release = world.release("notes@latest", "a test")
  const target = world.file("restored")
  world.ok("oscar", "restore", "notes@latest", "--release", release, "--to", target)
  assert.equal(readFileSync(join(target, "letter"), "utf8"), "Dear all,\n")
})

test("the next run builds on the last, and one that vanished is an alarm until it is back", async () => {
  const putBack = world.keep()
  writeFileSync(join(data, "second"), "more")
  const later = await backup()
  assert.equal(later.status, 0, later.stderr)
  const newest = world.keep()
  putBack()
  const gone = await backup("notes")
  assert.equal(gone.status, exitCode.alarm, gone.stderr)
  newest()
  const again = await backup("notes")
  assert.equal(again.status, 0, again.stderr)
})

test("an older policy is an alarm, also where another administrator's machine has seen no newer one", async () => {
  const putBack = world.keep()
  world.ok("admin", "source", "set", "notes", "--schedule", "each night")
  assert.equal((await backup("notes")).status, 0)
  const newest = world.keep()
  putBack()
  assert.equal((await backup("notes")).status, exitCode.alarm)
  newest()
  assert.equal((await backup("notes")).status, 0)
})

test("the identity of another source, one without trust and one that is damaged back nothing up", async () => {
  const other = await backup("docs")
  assert.equal(other.status, exitCode.refused, other.stderr)
  assert.match(other.stderr, /is that of notes, not of docs/)
  const kept = await value("trust")
  await ssm.send(new DeleteParameterCommand({ Name: `${PATH}/trust` }))
  const lacking = await backup("notes")
  assert.equal(lacking.status, exitCode["not-found"], lacking.stderr)
  assert.match(lacking.stderr, /identity\/notes\/trust/)
  await put("trust", kept)
  const secret = await value("secret")
  await put("secret", secret.slice(1))
  const damaged = await backup("notes")
  assert.equal(damaged.status, exitCode.tampered, damaged.stderr)
  assert.ok(!damaged.stderr.includes(secret.slice(1)))
  await put("secret", secret)
  assert.equal((await backup("notes")).status, 0)
})

test("a new signing key is taken once the policy has it, and the parameters stay as they are", async () => {
  const certificate = world.file("next.asc")
  const again = ["source", "keygen", "notes", "--again", "--identity", identity]
  world.ok("admin", ...again, "--out", certificate)
  assert.equal((await backup("notes")).status, 0)
  const key = await value("signing-key")
  world.ok("admin", "source", "rekey", "notes", "--certificate", certificate)
  assert.equal((await backup("notes")).status, 0)
  assert.equal(await value("signing-key"), key)
  assert.match(world.fails("admin", exitCode.conflict, ...again), /next-signing-key is there already/)
  await ssm.send(new DeleteParameterCommand({ Name: `${PATH}/next-signing-key` }))
  assert.equal((await backup("notes")).status, exitCode.refused)
  rmSync(certificate)
})

test("what names no path of parameters, or says not where the data is, makes nothing", () => {
  for (const url of ["ssm:/", "s3://bucket/x", "ssm:/a b", "/a/path"])
    world.fails("admin", exitCode.usage, "source", "keygen", "other", `dir://${data}`, "--identity", url)
  const nowhere = identity.replace("notes", "other")
  world.fails("admin", exitCode.usage, "source", "keygen", "other", "--identity", nowhere)
})
