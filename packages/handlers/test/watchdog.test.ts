// The watchdog against moto: servers within their time stay, overdue and stopped ones end, those of others are not touched.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand, StopInstancesCommand } from "@aws-sdk/client-ec2"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { endOverdue } from "../src/overdue.ts"
import { handler } from "../src/watchdog.ts"

const LIMIT = 3600
const event = { schedule: "nightly-docs", limitSeconds: LIMIT }
let moto: Moto
let client: EC2Client

before(async () => {
  moto = await startMoto()
  client = new EC2Client({ endpoint: moto.endpoint, region: "us-east-1", credentials: anybody })
})
after(async () => {
  client.destroy()
  await moto.close()
})

async function launch(tag: string | null): Promise<string> {
  const Tags = tag === null ? [] : [{ Key: "backup-cloud:schedule", Value: tag }]
  const { Instances = [] } = await client.send(
    new RunInstancesCommand({
      ...{ ImageId: "ami-12c6146b", MinCount: 1, MaxCount: 1 },
      ...(tag === null ? {} : { TagSpecifications: [{ ResourceType: "instance" as const, Tags }] }),
    }),
  )
  return Instances[0]?.InstanceId ?? assert.fail()
}

async function state(id: string): Promise<string | undefined> {
  const { Reservations = [] } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }))
  return Reservations[0]?.Instances?.[0]?.State?.Name
}

const inSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1000)

test("what is within its time stays, with half an hour of grace, and what is not ends; others are not touched", async () => {
  const [own, another, untagged] = [await launch("nightly-docs"), await launch("nightly-other"), await launch(null)]
  assert.deepEqual(await endOverdue(event, client, inSeconds(LIMIT + 1700)), {
    ...{ schedule: "nightly-docs", ended: [], running: 1 },
  })
  assert.equal(await state(own), "running")
  const late = await endOverdue(event, client, inSeconds(LIMIT + 1801))
  assert.deepEqual(late, { schedule: "nightly-docs", ended: [own], running: 0 })
  assert.equal(await state(own), "terminated")
  for (const id of [another, untagged]) assert.equal(await state(id), "running")
  // It looks only for what can still be ended.
  assert.deepEqual((await endOverdue(event, client, inSeconds(LIMIT + 1801))).ended, [])
})

test("a server that somebody stopped is ended within its time as well", async () => {
  const id = await launch("nightly-docs")
  await client.send(new StopInstancesCommand({ InstanceIds: [id] }))
  assert.deepEqual((await endOverdue(event, client, new Date())).ended, [id])
  assert.equal(await state(id), "terminated")
})

test("one that can't be ended is said, after all others were", async () => {
  const ids = [await launch("nightly-docs"), await launch("nightly-docs")]
  const refuses = new EC2Client({ endpoint: moto.endpoint, region: "us-east-1", credentials: anybody })
  refuses.middlewareStack.add(
    (next) => async (args) => {
      if ((args.input as { InstanceIds?: string[] }).InstanceIds?.[0] === ids[0]) throw new Error("refused")
      return await next(args)
    },
    { step: "initialize" },
  )
  await assert.rejects(endOverdue(event, refuses, inSeconds(LIMIT + 1801)), {
    fault: "unavailable",
    message: new RegExp(`^servers ${ids[0]} of nightly-docs are overdue and could not be ended$`),
  })
  refuses.destroy()
  assert.deepEqual([await state(ids[0] ?? ""), await state(ids[1] ?? "")], ["running", "terminated"])
  assert.deepEqual((await endOverdue(event, client, inSeconds(LIMIT + 1801))).ended, [ids[0]])
})

test("another event ends nothing", async () => {
  const id = await launch("nightly-docs")
  for (const wrong of [null, {}, { schedule: "", limitSeconds: 1 }, { schedule: "nightly-docs", limitSeconds: 0 }])
    await assert.rejects(endOverdue(wrong, client, inSeconds(1e6)), { fault: "usage" })
  assert.equal(await state(id), "running")
})

test("the function itself takes the client of its surroundings and gives the reply", async () => {
  const names = { AWS_ENDPOINT_URL: moto.endpoint, AWS_REGION: "us-east-1" }
  const keys = { AWS_ACCESS_KEY_ID: anybody.accessKeyId, AWS_SECRET_ACCESS_KEY: anybody.secretAccessKey }
  const before = { ...process.env }
  Object.assign(process.env, names, keys)
  try {
    assert.deepEqual(await handler(event), { schedule: "nightly-docs", ended: [], running: 1 })
  } finally {
    process.env = before
  }
})
