// A deployment of a template of schedules onto moto, whose interpreter runs the state machine. The schedules, which moto's
// CloudFormation leaves out, are made through EventBridge Scheduler's own API, as the template has them.

import assert from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { anybody, type Moto } from "../../store/test/moto.ts"
import { type Deployed, deploy } from "./deploy.ts"
import { resolve, template } from "./resolve.ts"
import { given, type On, type Target } from "./schedules.ts"

/** A bucket with the code of the functions. */
export async function prepare(moto: Moto, handlers: Uint8Array): Promise<void> {
  await runsMachines(moto, false)
  const client = new S3Client({
    endpoint: moto.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: anybody,
  })
  await client.send(new CreateBucketCommand({ Bucket: "code" }))
  await client.send(new PutObjectCommand({ Bucket: "code", Key: "handlers.zip", Body: handlers }))
  client.destroy()
}

export interface DeployedSchedule extends Deployed {
  /** Types that moto's CloudFormation made nothing of. */
  readonly lacking: readonly string[]
  /** As EventBridge Scheduler gives it back. @param id of the schedule in the template */
  target(id?: string): Promise<Target>
}

export async function deploySchedule(
  moto: Moto,
  stack: string,
  on: On,
  parameters: Readonly<Record<string, string>>,
): Promise<DeployedSchedule> {
  const all = { ...given[on], ...parameters }
  const deployed = await deploy(moto, stack, `schedule-${on}`, all)
  const { Resources } = JSON.parse(template(`schedule-${on}`)) as { Resources: Record<string, { Type: string }> }
  const left = Object.entries(Resources).filter(([id]) => !deployed.made.has(id))
  const place = { "AWS::StackName": stack, "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012" }
  const resolved = resolve(template(`schedule-${on}`), all, { ...Object.fromEntries(deployed.made), ...place })
  const headers = signed("scheduler")
  for (const [id, { Type, Properties }] of Object.entries(resolved)) {
    if (Type !== "AWS::Scheduler::Schedule") continue
    // In the default group: the stack's own was not made either.
    await post(`${moto.endpoint}/schedules/${stack}-${id}`, headers, { ...Properties, GroupName: "default" })
  }
  return {
    ...deployed,
    lacking: [...new Set(left.map(([, { Type }]) => Type))].sort(),
    target: async (id = "BackupSchedule") => {
      const answer = await fetch(`${moto.endpoint}/schedules/${stack}-${id}`, { headers })
      assert.ok(answer.ok)
      return ((await answer.json()) as { Target: Target }).Target
    },
  }
}

export interface Executed {
  readonly status: string
  readonly output: unknown
  readonly error: string | undefined
  /** What the function was called with, one after the other. */
  readonly payloads: readonly unknown[]
}

/** Runs the machine that a schedule starts, with its event. @param replies of the function, one after the other */
export async function execute(moto: Moto, { Arn, Input }: Target, replies: readonly unknown[]): Promise<Executed> {
  // What interprets machines knows none of those that CloudFormation made: it gets the one that it made.
  const machine = await states<Record<string, string>>(moto, "DescribeStateMachine", { stateMachineArn: Arn })
  await runsMachines(moto, true)
  const { name, definition, roleArn } = machine
  const made = await states<{ stateMachineArn: string }>(moto, "CreateStateMachine", { name, definition, roleArn })
  assert.equal(made.stateMachineArn, Arn)
  try {
    return await executed(moto, { Arn, Input }, replies)
  } finally {
    await states(moto, "DeleteStateMachine", { stateMachineArn: Arn })
    await runsMachines(moto, false)
  }
}

async function executed(
  moto: Moto,
  { Arn, Input }: Omit<Target, "RoleArn">,
  replies: readonly unknown[],
): Promise<Executed> {
  const results = replies.map((reply) => JSON.stringify(reply))
  await post(`${moto.endpoint}/moto-api/static/lambda-simple/response`, {}, { results, region: "us-east-1" })
  const { executionArn } = await states<{ executionArn: string }>(moto, "StartExecution", {
    ...{ stateMachineArn: Arn, input: Input },
  })
  for (;;) {
    const now = await states<Record<string, string>>(moto, "DescribeExecution", { executionArn })
    if (now["status"] !== "RUNNING") {
      const { events } = await states<{ events: HistoryEvent[] }>(moto, "GetExecutionHistory", { executionArn })
      const calls = events.flatMap(({ taskScheduledEventDetails: each }) =>
        each === undefined ? [] : [each.parameters],
      )
      return {
        status: now["status"] ?? "",
        output: now["output"] === undefined ? undefined : JSON.parse(now["output"]),
        error: now["error"] ?? events.at(-1)?.executionFailedEventDetails?.error,
        payloads: calls.map((parameters) => (JSON.parse(parameters) as { Payload: unknown }).Payload),
      }
    }
    await sleep(20)
  }
}

/** Without it moto keeps machines and functions; with it machines are run, and functions answer what they are told to. */
async function runsMachines(moto: Moto, execute_state_machine: boolean): Promise<void> {
  const settings = { stepfunctions: { execute_state_machine }, lambda: { use_docker: !execute_state_machine } }
  await post(`${moto.endpoint}/moto-api/config`, {}, settings)
}

interface HistoryEvent {
  readonly taskScheduledEventDetails?: { readonly parameters: string }
  readonly executionFailedEventDetails?: { readonly error: string }
}

async function states<T>(moto: Moto, action: string, body: object): Promise<T> {
  const headers = { ...signed("states"), "x-amz-target": `AWSStepFunctions.${action}` }
  return (await post(`${moto.endpoint}/`, { ...headers, "content-type": "application/x-amz-json-1.0" }, body)) as T
}

function signed(service: string): Record<string, string> {
  const credential = `anybody/20261123/us-east-1/${service}/aws4_request`
  return { authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0` }
}

async function post(url: string, headers: Readonly<Record<string, string>>, body: object): Promise<unknown> {
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })
  const text = await answer.text()
  assert.ok(answer.ok, `${url}: ${text}`)
  return text.startsWith("{") ? JSON.parse(text) : text
}

/** The role and the environment of a function, as moto's Lambda has them. */
export async function deployedFunction(
  moto: Moto,
  name: string,
): Promise<{ readonly role: string; readonly variables: Readonly<Record<string, string>> }> {
  const answer = await fetch(`${moto.endpoint}/2015-03-31/functions/${name}`, { headers: signed("lambda") })
  assert.ok(answer.ok, name)
  const { Configuration } = (await answer.json()) as {
    Configuration: { readonly Role: string; readonly Environment: { readonly Variables: Record<string, string> } }
  }
  return { role: Configuration.Role, variables: Configuration.Environment.Variables }
}
