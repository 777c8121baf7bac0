// From a schedule to a restore through deployed names: the archive, the source and its schedule are deployed, the machine
// that the schedule starts calls the real function with its event, and every request of the function passes the gate with
// the credentials and rights of the role that the function was deployed with.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { of, run } from "../../cli/test/run.ts"
import { World } from "../../cli/test/world.ts"
import { handler } from "../../handlers/src/backup.ts"
import { noise } from "../../store/test/helpers.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { allowedRows } from "./access-rows.ts"
import { completeBucket, type Deployed, deploy, type Keys, takeRole } from "./deploy.ts"
import { type DeployedSchedule, deployedFunction, deploySchedule, execute, prepare } from "./deployed-schedule.ts"
import { type Gate, openGate } from "./gate.ts"
import { PATH, type Principal, policies, SOURCE } from "./judge.ts"

const world = new World()
const keys = new Map<string, readonly [Principal, Keys]>()
const own: Keys = { ...anybody, sessionToken: "" }
let moto: Moto
let gate: Gate
let archive: Deployed
let schedule: DeployedSchedule
let told: Readonly<Record<string, string>>

before(async () => {
  moto = await startMoto()
  await prepare(moto, Buffer.from("the function is called here, not by moto"))
  archive = await deploy(moto, "archive", "archive", { Path: PATH, LockDays: "1" })
  const source = await deploy(moto, "docs", "source", { Source: SOURCE, RunsOn: "function" })
  const SourceRole = source.outputs.get("SourceRoleName") ?? ""
  schedule = await deploySchedule(moto, "nightly", "function", { SourceRole })
  const bucket = archive.outputs.get("BucketName") ?? ""
  await completeBucket(moto, bucket, { Path: PATH, LockDays: "1" })
  const { role, variables } = await deployedFunction(moto, schedule.made.get("BackupFunction") ?? "")
  assert.equal(role, source.outputs.get("SourceRoleArn"))
  told = variables
  const roleOf = async (output: string): Promise<Keys> => await takeRole(moto, archive.outputs.get(output) ?? "")
  keys.set("account", ["account", own])
  keys.set("admin", ["administrator", await roleOf("AdministratorRoleArn")])
  keys.set("oscar", ["operator", await roleOf("OperatorRoleArn")])
  keys.set("function", ["source", await takeRole(moto, role)])
  gate = await openGate(moto, bucket, policies(), (accessKeyId) => {
    return [...keys.values()].find(([, each]) => each.accessKeyId === accessKeyId)?.[0]
  })
  for (const name of ["admin", "alice", "bob", "oscar"]) world.person(name)
  const { endpoint } = moto
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody })
  await client.send(new CreateBucketCommand({ Bucket: "data" }))
  mkdirSync(world.file("data/folder"), { recursive: true })
  for (const [name, content] of [
    ["folder/letter", "Dear all,\n"],
    ["large", noise(3_000_000)],
  ] as const) {
    writeFileSync(join(world.file("data"), name), content)
    await client.send(new PutObjectCommand({ Bucket: "data", Key: name, Body: content }))
  }
  client.destroy()
})
after(async () => {
  await moto.close()
  world.end()
  await gate.close()
})

function surroundings(withKeysOf: string): Record<string, string> {
  const [, { accessKeyId, secretAccessKey, sessionToken }] = keys.get(withKeysOf) ?? assert.fail(withKeysOf)
  return {
    ...{ AWS_ENDPOINT_URL: gate.endpoint, AWS_REGION: "us-east-1", AWS_EC2_METADATA_DISABLED: "true" },
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...(sessionToken === "" ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  }
}

async function ok(who: string, withKeysOf: string | null, ...args: string[]): Promise<void> {
  const env = withKeysOf === null ? {} : surroundings(withKeysOf)
  const { status, stdout, stderr } = await run(of(world, who, env), ...args)
  assert.equal(status, 0, `${who}: backup-cloud ${args.join(" ")}\n${stdout}${stderr}`)
}

/** Calls the function in this process, as Lambda would with what it was deployed with. */
async function call(event: unknown): Promise<object> {
  const before = { ...process.env }
  Object.assign(process.env, told, surroundings("function"))
  try {
    return await handler(event, { getRemainingTimeInMillis: () => 900_000 })
  } finally {
    process.env = before
  }
}

test("a source is run by its schedule, verified, asked for, released and restored", async () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const holders = ["--holder", world.file("alice.asc"), "--holder", world.file("bob.asc")]
  await ok("admin", "admin", "init", "ssm:/", "--admin", admin, ...holders, "--operator", world.file("oscar.asc"))
  const url = `s3://data?endpoint=${encodeURIComponent(moto.endpoint)}`
  const identity = ["--identity", `ssm:/backup-cloud/identity/${SOURCE}`, "--out", world.file("docs.asc")]
  await ok("admin", "account", "source", "keygen", SOURCE, url, ...identity)
  await ok("admin", "admin", "source", "add", SOURCE, url, "--certificate", world.file("docs.asc"))

  const target = await schedule.target()
  const { payloads } = await execute(moto, target, [{ outcome: "complete" }])
  const reply = await call(payloads[0])
  const executed = await execute(moto, target, [reply])
  assert.deepEqual([executed.status, executed.output], ["SUCCEEDED", reply])
  const { run: id, outcome, files } = reply as Record<string, unknown>
  assert.deepEqual([outcome, files], ["complete", 4])

  await ok("oscar", "oscar", "trust", "ssm:/", admin, "--yes")
  await ok("oscar", "oscar", "verify")
  const request = ["--reason", "a test", "--out", world.file("request")]
  await ok("oscar", "oscar", "request", `${SOURCE}@${String(id)}`, ...request)
  await ok("alice", null, "trust", world.file("admin.asc"), admin, "--yes")
  await ok("alice", null, "keyholder", "approve", world.file("request"), "--out", world.file("release"), "--yes")
  const restored = ["--release", world.file("release"), "--to", world.file("restored")]
  await ok("oscar", "oscar", "restore", `${SOURCE}@${String(id)}`, ...restored)
  execFileSync("diff", ["-r", world.file("data"), world.file("restored")])
})

test("what the function asked for beside the archive is in the table of access, and was not refused", () => {
  const table = new Set(allowedRows.map(({ principal, action, resource }) => `${principal} ${action} ${resource}`))
  const asked = [...gate.granted.values()].filter(
    ({ principal, action }) => principal === "source" && /^ssm:/.test(action),
  )
  const keysAsked = asked.filter(({ resource }) => resource.includes("/identity/"))
  assert.ok(keysAsked.length >= 3)
  for (const { principal, action, resource } of keysAsked) {
    assert.ok(table.has(`${principal} ${action} ${resource}`), `${action} ${resource}`)
  }
  // What it asks of the archive's bucket and may not know, it does without.
  assert.deepEqual(
    gate.refused.filter(({ action }) => !action.startsWith("s3:List")),
    [],
  )
})
