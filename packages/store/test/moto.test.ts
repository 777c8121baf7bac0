import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import {
  CreateBucketCommand,
  type DefaultRetention,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { KeptError, type Store, s3Store } from "../src/index.ts"
import { storeContract } from "./contract.ts"
import { get, put, signal } from "./helpers.ts"
import { anybody, type Moto, startMoto } from "./moto.ts"

let moto: Moto
let client: S3Client
let buckets = 0

before(async () => {
  moto = await startMoto()
  client = new S3Client({ endpoint: moto.endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody })
})
after(() => moto.close())

/** @param retention makes a bucket with Object Lock; `none` is a lock without a default */
async function open(retention?: DefaultRetention | "none"): Promise<Store> {
  const bucket = `bucket-${++buckets}`
  await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: retention !== undefined }))
  if (retention !== undefined && retention !== "none") {
    const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: retention } } as const
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }))
  }
  return s3Store({ bucket, prefix: "some/place", endpoint: moto.endpoint, credentials: anybody })
}

storeContract("moto", async () => await open())
storeContract("moto with versions", async () => await open("none"))

test("moto: probe finds versions and the default retention, in days or years", async () => {
  assert.equal((await (await open()).probe(signal)).versions, false)
  const without = await (await open("none")).probe(signal)
  assert.deepEqual([without.versions, without.lock], [true, null])
  const lockOf = async (retention: DefaultRetention) => (await (await open(retention)).probe(signal)).lock
  assert.deepEqual(await lockOf({ Mode: "GOVERNANCE", Days: 12 }), { mode: "GOVERNANCE", days: 12 })
  assert.deepEqual(await lockOf({ Mode: "COMPLIANCE", Years: 2 }), { mode: "COMPLIANCE", days: 730 })
})

test("moto: what the lock keeps is not removed", async () => {
  const store = await open({ Mode: "COMPLIANCE", Days: 1 })
  await put(store, "a", "x")
  await assert.rejects(store.remove("a", signal), (error) => {
    assert.ok(error instanceof KeptError && error.fault === "refused")
    const hours = (Number(error.until) - Date.now()) / 3_600_000
    assert.ok(hours > 23 && hours <= 24, "the lock says until when")
    return true
  })
  assert.equal((await get(store, "a")).toString(), "x")
  const free = await open("none")
  await put(free, "a", "x")
  await free.remove("a", signal)
  assert.equal(await free.stat("a", signal), null)
})
