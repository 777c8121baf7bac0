// The contract against a real Ceph gateway, an S3 that many people run themselves. Run by `npm run test:ceph`, as root on
// Debian, since it installs and starts daemons; the ordinary tests do not start it.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { CreateBucketCommand, PutObjectCommand, PutObjectLockConfigurationCommand, S3Client } from "@aws-sdk/client-s3"
import { type Store, s3Store } from "../../src/index.ts"
import { storeContract } from "../contract.ts"
import { bytes, freePort, get, noise, put, sha256, signal } from "../helpers.ts"

const credentials = { accessKeyId: "archive", secretAccessKey: "of-the-tests-only" }

let folder: string
let endpoint: string
let client: S3Client
let buckets = 0

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ceph-"))
  const port = await freePort()
  const { accessKeyId, secretAccessKey } = credentials
  const numbers = [port, await freePort(), await freePort()].map(String)
  await script("up.sh", folder, ...numbers, accessKeyId, secretAccessKey)
  endpoint = `http://127.0.0.1:${port}`
  client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials, maxAttempts: 1 })
})
after(async () => {
  await script("down.sh", folder)
  await rm(folder, { recursive: true })
})

/** The daemons that a script leaves behind keep its output open, so it goes nowhere that is waited for. */
async function script(name: string, ...args: string[]): Promise<void> {
  const started = spawn(join(import.meta.dirname, name), args, { stdio: ["ignore", "ignore", "inherit"] })
  const [status] = (await once(started, "exit")) as [number | null]
  assert.equal(status, 0, `${name} failed`)
}

async function open(lockDays?: number): Promise<{ store: Store; bucket: string }> {
  const bucket = `bucket-${++buckets}`
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: lockDays !== undefined }))
  if (lockDays !== undefined && lockDays > 0) {
    const Rule = { DefaultRetention: { Mode: "COMPLIANCE", Days: lockDays } } as const
    const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule } as const
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }))
  }
  // The gateway ignores the condition of a create where the bucket has versions.
  const unconditional = lockDays !== undefined
  return { bucket, store: s3Store({ bucket, prefix: "some/place", endpoint, credentials, unconditional }) }
}

storeContract("Ceph", async () => (await open()).store)
storeContract("Ceph with versions", async () => (await open(0)).store, false)

void test("Ceph: a whole volume goes in and comes out", async () => {
  const { store } = await open()
  const body = noise(66_977_792)
  await put(store, "volume", body)
  assert.ok((await get(store, "volume")).equals(body))
})

void test("Ceph: a body that never had its digest is tampered and not kept", async () => {
  const { store } = await open()
  await assert.rejects(store.create("a", [bytes("x")], sha256(bytes("y")), signal), { fault: "tampered" })
  assert.equal(await store.stat("a", signal), null)
})

void test("Ceph: probe finds versions and the lock, and the lock holds", async () => {
  const { store, bucket } = await open(1)
  const { conditionalCreate, versions: kept, lock, notices } = await store.probe(signal)
  assert.deepEqual(
    { conditionalCreate, kept, lock },
    { conditionalCreate: false, kept: true, lock: { mode: "COMPLIANCE", days: 1 } },
  )
  assert.equal(notices.length, 1)
  await put(store, "a", "signed")
  // One who may write without the condition hides the bytes, and does not remove them.
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: "some/place/a", Body: "forged" }))
  await assert.rejects(store.remove("a", signal), { fault: "refused" })
  const versions = await store.versions("a", signal)
  assert.equal((await get(store, "a", { version: versions.at(-1)?.version ?? "none" })).toString(), "signed")
})

void test("Ceph: wrong credentials are refused, a missing bucket is not found", async () => {
  const { bucket } = await open()
  const stranger = s3Store({
    bucket,
    prefix: "",
    endpoint,
    credentials: { accessKeyId: "archive", secretAccessKey: "wrong" },
  })
  await assert.rejects(stranger.stat("a", signal), { fault: "refused" })
  await assert.rejects(s3Store({ bucket: "none", prefix: "", endpoint, credentials }).stat("a", signal), {
    fault: "not-found",
  })
})
