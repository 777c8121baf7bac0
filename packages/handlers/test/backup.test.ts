// The function that backs up, as it is bundled: no gpg, no program at all, no file but temporary ones; over several
// invocations where the time of one is not enough.

import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { DeleteParameterCommand, GetParameterCommand } from "@aws-sdk/client-ssm"
import { type Asked, type Proxy, startProxy } from "../../source-s3/test/proxy.ts"
import { Cloud, type Invoked, metricsOf } from "./cloud.ts"

const MiB = 1_048_576
const MINUTES = 15 * 60_000
/** Time for all but what is held back. */
const SECONDS = 18_000
let cloud: Cloud
let proxy: Proxy

before(async () => {
  cloud = await Cloud.open()
  for (const [name, value] of [
    ["/app/name", "web"],
    ["/app/password", "open sesame"],
  ] as const)
    await cloud.put(name, value, "SecureString")
  cloud.enrol("parameters", "ssm:/app")
  proxy = await startProxy(cloud.moto.endpoint)
  cloud.enrol("objects", `s3://data/in?endpoint=${encodeURIComponent(proxy.endpoint)}&region=us-east-1`)
})
after(async () => {
  await proxy.close()
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
  assert.match(String(run), /^[0-9]{8}T[0-9]{6}Z-/)
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
  const target = await cloud.restored("parameters")
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

/** Whether a request is for content of an object. */
const isContent = ({ method, key, query }: Asked): boolean => method === "GET" && key !== "" && !query.has("tagging")

/** Lets so many requests for content through, and none after them: the network has no more to give. */
function letThrough(count: number): void {
  let left = count
  proxy.fail = (asked) => (isContent(asked) && left-- <= 0 ? { stallAfter: 1000 } : null)
}

test("where the time is not enough, each invocation goes on from the one before, amidst an object too", async () => {
  const objects = new Map<string, Uint8Array>()
  for (let i = 0; i < 5; i++) objects.set(`small-${i}`, randomBytes(MiB))
  objects.set("zz-large", randomBytes(40 * MiB))
  for (const [name, bytes] of objects) await cloud.object(`in/${name}`, bytes)
  const invocations: Invoked[] = []
  // Small objects come whole, large ones in ranges of 8 MiB.
  for (const requests of [5 + 2, 4, Infinity]) {
    letThrough(requests)
    const event = invocations.at(-1)?.reply ?? { source: "objects" }
    invocations.push(await cloud.invoke(event, requests === Infinity ? MINUTES : SECONDS))
  }
  const [first, second, last] = invocations
  assert.deepEqual(
    invocations.map(({ reply }) => [reply?.["outcome"], reply?.["continuation"], reply?.["files"]]),
    [
      ["continues", 1, 6],
      ["continues", 2, 6],
      ["complete", 2, 7],
    ],
    invocations.map(({ text }) => text).join("\n"),
  )
  assert.ok(invocations.every(({ memory }) => memory < 512 * MiB))
  // Of the large object all but the last 8 MiB were there.
  assert.ok(Number(last?.reply?.["stored"]) < 20 * MiB, last?.text)
  // No more than that is counted of a run that is not over.
  const counted = Object.entries(metricsOf(first ?? assert.fail())).filter(([, value]) => typeof value === "number")
  assert.deepEqual(counted.map(([name]) => name).sort(), ["DurationSeconds", "StoredBytes"])
  assert.deepEqual([metricsOf(last ?? assert.fail())["Files"], second?.error], [7, null])
  assert.deepEqual(cloud.left(), [])
  const target = await cloud.restored("objects")
  for (const [name, bytes] of objects) assert.ok(readFileSync(join(target, name)).equals(bytes), name)
})

test("an invocation that gets no further is an error, until more comes", async () => {
  await cloud.object("in/zzz", randomBytes(24 * MiB))
  letThrough(0)
  const first = await cloud.invoke({ source: "objects" }, SECONDS)
  assert.equal(first.error?.name, "unavailable", first.text)
  assert.match(first.error.message, /read nothing to its end and stored no content/)
  letThrough(Infinity)
  const second = await cloud.invoke({ source: "objects" }, MINUTES)
  assert.equal(second.reply?.["outcome"], "complete", second.text)
})
