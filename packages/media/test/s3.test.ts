// A bucket with versions, over HTTP: what an attacker overwrote or hid gets onto the disk as it was signed.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { names } from "@backup-cloud/format"
import { directoryStore, s3Store } from "@backup-cloud/store"
import { readRuns } from "@backup-cloud/trust"
import { get } from "../../store/test/helpers.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { place } from "./disks.ts"
import { mediaWorld, run, signal } from "./world.ts"

let moto: Moto
before(async () => {
  moto = await startMoto()
})
after(() => moto.close())

test("overwritten and hidden objects of a new run are copied from the versions that were signed", async () => {
  const { endpoint } = moto
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody })
  await client.send(new CreateBucketCommand({ Bucket: "archive", ObjectLockEnabledForBucket: true }))
  const world = await mediaWorld(s3Store({ bucket: "archive", prefix: "a", endpoint, credentials: anybody }))
  const disk = place()
  await world.init(disk)
  await world.archive.commit({ source: "docs", run: run(1) })
  const object = (base: string): string => names.runDirectory("docs", run(1)) + base
  const [overwritten, hidden] = [object(names.volume(1)), object(names.volume(2))]
  const signed = await Promise.all([overwritten, hidden].map((name) => world.archive.read(name)))
  await client.send(new PutObjectCommand({ Bucket: "archive", Key: `a/${overwritten}`, Body: "encrypted" }))
  await client.send(new DeleteObjectCommand({ Bucket: "archive", Key: `a/${hidden}` }))

  const done = await world.sync(disk)
  assert.deepEqual([done.problems, done.prepared.plan.left], [[], []])
  const own = directoryStore(disk)
  for (const [index, name] of [overwritten, hidden].entries())
    assert.ok((await get(own, name)).equals(signed[index] ?? Buffer.alloc(0)))
  const found = await readRuns(await world.archive.load({ reader: own }), own, "docs", signal)
  assert.deepEqual([found.runs.length, found.problems], [1, []])
  // Now the disk remembers: the bucket still lacks what the next sync would have to find there.
  await assert.rejects(world.sync(disk), { fault: "alarm", message: /volume-0000000[12]\.tar\.zst\.gpg/ })
})
