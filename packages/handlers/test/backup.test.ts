// The function that backs up, as it is bundled: no gpg, no program at all, no file but temporary ones; over several
// invocations where the time of one is not enough.

import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { DeleteParameterCommand, GetParameterCommand } from "@aws-sdk/client-ssm"
import { Cloud, metricsOf } from "./cloud.ts"

const MINUTES = 15 * 60_000
let cloud: Cloud

before(async () => {
  cloud = await Cloud.open()
  for (const [name, value] of [
    ["/app/name", "web"],
    ["/app/password", "open sesame"],
  ] as const)
    await cloud.put(name, value, "SecureString")
  cloud.enrol("parameters", "ssm:/app")
  cloud.enrol("objects", "s3://data/in")
})
after(async () => {
  await cloud.close()
})

async function value(name: string): Promise<string> {
  const got = await cloud.ssm.send(new GetParameterCommand({ Name: name, WithDecryption: true }))
  return got.Parameter?.Value ?? ""
}

test("parameters are backed up by the bundle alone, and come back; nothing secret is said, nothing is left", async () => {
  const invoked = await cloud.invoke({ source: "parameters" }, MINUTES)
  assert.equal(invoked.error, null, invoked.text)
  const { run, bytes, stored, ...reply } = invoked.reply ?? {}
  assert.deepEqual(reply, { source: "parameters", outcome: "complete", continuation: 0, files: 4, errors: 0 })
  assert.equal(bytes, "web".length + "open sesame".length)
  assert.ok(Number(stored) > 0)
  const metrics = metricsOf(invoked)
  const { Complete, Failed, Files, Shrank, Source } = metrics
  assert.deepEqual([Source, Complete, Failed, Files, Shrank], ["parameters", 1, 0, 4, 0])
  const path = "/backup-cloud/identity/parameters"
  const key = (await value(`${path}/signing-key`)).split("\n")
  for (const secret of ["sesame", await value(`${path}/secret`), ...key.filter((line) => line.length > 60)])
    assert.ok(!invoked.text.includes(secret), secret)
  assert.deepEqual(cloud.left(), [])
  const { world } = cloud
  world.ok("oscar", "verify")
  const target = world.file("parameters-restored")
  const release = world.release("parameters@latest", "of parameters")
  world.ok("oscar", "restore", `parameters@${String(run)}`, "--release", release, "--to", target)
  assert.equal(readFileSync(join(target, "app/password"), "utf8"), "open sesame")
})

test("another run builds on the last, and one that has lost more than half says so", async () => {
  await cloud.ssm.send(new DeleteParameterCommand({ Name: "/app/password" }))
  const invoked = await cloud.invoke({ source: "parameters", continuation: 0 }, MINUTES)
  const { outcome } = invoked.reply ?? {}
  assert.deepEqual([outcome, metricsOf(invoked)["Shrank"]], ["complete", 1])
  const started = invoked.log.find((line) => line["event"] === "started")
  assert.equal(typeof started?.["since"], "string")
})

test("an event of another form, another source's identity and one without trust are errors by their fault", async () => {
  const wrong = await cloud.invoke({ bucket: "data" }, MINUTES)
  assert.equal(wrong.error?.name, "usage")
  const identity = { BACKUP_CLOUD_IDENTITY: "ssm:/backup-cloud/identity/objects" }
  const other = await cloud.invoke({ source: "parameters" }, MINUTES, identity)
  assert.equal(other.error?.name, "refused", other.text)
  assert.deepEqual([metricsOf(other)["Failed"], metricsOf(other)["Complete"]], [1, 0])
  const nowhere = { BACKUP_CLOUD_IDENTITY: "ssm:/backup-cloud/identity/none" }
  assert.equal((await cloud.invoke({ source: "parameters" }, MINUTES, nowhere)).error?.name, "not-found")
})

test("what a function cannot back up is said to be so", async () => {
  cloud.enrol("code", "git:https://git.test.example/code.git")
  const { error } = await cloud.invoke({ source: "code" }, MINUTES)
  assert.equal(error?.name, "usage")
  assert.match(error.message, /git:https.* a container/)
})

test("objects of a bucket are backed up", async () => {
  for (let i = 0; i < 4; i++) await cloud.object(`in/${i}`, randomBytes(5_000_000))
  const [invoked] = await cloud.invokeAll("objects", MINUTES)
  assert.equal(invoked?.reply?.["outcome"], "complete", invoked?.text)
})
