// The templates of schedules deployed onto moto: the machine runs with the event of its schedule for as long as the function
// says so, and a server is launched by what its schedule calls, and ended by the watchdog.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { DescribeInstancesCommand, EC2Client, type Instance, RunInstancesCommand } from "@aws-sdk/client-ec2"
import { endOverdue } from "../../handlers/src/overdue.ts"
import { anybody, type Moto, startMoto } from "../../store/test/moto.ts"
import { type Deployed, deploy } from "./deploy.ts"
import { type DeployedSchedule, deploySchedule, execute, prepare } from "./deployed-schedule.ts"

let moto: Moto
let source: Deployed
let onFunction: DeployedSchedule
let onServer: DeployedSchedule
let client: EC2Client

before(async () => {
  moto = await startMoto()
  await prepare(moto, Buffer.from("a zip, which this moto does not open"))
  await deploy(moto, "archive", "archive", {})
  source = await deploy(moto, "source", "source", { Source: "docs" })
  const SourceRole = source.outputs.get("SourceRoleName") ?? ""
  const SourceProfile = source.outputs.get("SourceProfileName") ?? ""
  onFunction = await deploySchedule(moto, "nightly", "function", { SourceRole, Continuations: "2" })
  onServer = await deploySchedule(moto, "weekly", "server", { SourceRole, SourceProfile, LimitSeconds: "3600" })
  client = new EC2Client({ endpoint: moto.endpoint, region: "us-east-1", credentials: anybody })
})
after(async () => {
  client.destroy()
  await moto.close()
})

test("what moto leaves out of the templates is what the page lists", async () => {
  const SourceRole = source.outputs.get("SourceRoleName") ?? ""
  const onTask = await deploySchedule(moto, "daily", "task", { SourceRole })
  const page = readFileSync(join(import.meta.dirname, "../../../docs/aws.md"), "utf8")
  const [, list = ""] = /templates of schedules moto leaves out ([^.;]*)/.exec(page) ?? []
  const listed = [...list.matchAll(/`([^`]+)`/g)].map((match) => match[1])
  for (const { lacking } of [onFunction, onServer, onTask]) assert.deepEqual(lacking, listed)
})

const reply = (outcome: string, continuation: number): object => ({
  ...{ source: "docs", run: "20261123T221500Z-4f1c9a02", outcome, continuation },
  ...{ files: 3, bytes: 10, stored: 20, errors: outcome === "partial" ? 1 : 0 },
})
const asked = (count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({ source: "docs", continuation: i }))

test("the function is called again for as long as its run goes on, and the last reply is what came of it", async () => {
  const target = await onFunction.target()
  const whole = await execute(moto, target, [reply("complete", 0)])
  assert.deepEqual(whole, { status: "SUCCEEDED", output: reply("complete", 0), error: undefined, payloads: asked(1) })
  const replies = [reply("continues", 1), reply("continues", 2), reply("complete", 2)]
  const long = await execute(moto, target, replies)
  assert.deepEqual(long, { status: "SUCCEEDED", output: reply("complete", 2), error: undefined, payloads: asked(3) })
})

test("a run that goes on too often, and one that is not complete, are executions that failed", async () => {
  const target = await onFunction.target()
  const replies = [1, 2, 3].map((each) => reply("continues", each))
  const long = await execute(moto, target, replies)
  assert.deepEqual([long.status, long.error, long.payloads], ["FAILED", "TooLong", asked(3)])
  const partial = await execute(moto, target, [reply("partial", 0)])
  assert.deepEqual([partial.status, partial.error, partial.payloads], ["FAILED", "Incomplete", asked(1)])
})

async function servers(): Promise<Instance[]> {
  const { Reservations = [] } = await client.send(new DescribeInstancesCommand({}))
  return Reservations.flatMap(({ Instances = [] }) => Instances)
}

test("what the schedule calls launches one server of its template, and the watchdog's event ends it when it is overdue", async () => {
  const { Input } = await onServer.target()
  const call = JSON.parse(Input.replace("<aws.scheduler.execution-id>", "0123")) as ConstructorParameters<
    typeof RunInstancesCommand
  >[0]
  await client.send(new RunInstancesCommand(call))
  const [server, ...others] = await servers()
  assert.deepEqual(others, [])
  const tags = server?.Tags?.map(({ Key, Value }) => [Key, Value]).sort()
  assert.deepEqual(
    tags?.filter(([Key]) => Key?.startsWith("backup-cloud:")),
    [
      ["backup-cloud:schedule", "weekly"],
      ["backup-cloud:source", "docs"],
    ],
  )
  const event: unknown = JSON.parse((await onServer.target("WatchSchedule")).Input)
  const seconds = (later: number): Date => new Date(Date.now() + later * 1000)
  assert.deepEqual(await endOverdue(event, client, seconds(3600)), { schedule: "weekly", ended: [], running: 1 })
  const { ended } = await endOverdue(event, client, seconds(3600 + 1801))
  assert.deepEqual(ended, [server?.InstanceId])
  assert.equal((await servers())[0]?.State?.Name, "terminated")
})
