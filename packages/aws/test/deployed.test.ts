// The templates of workers and alarms are deployed onto moto through CloudFormation: what it makes of them is what
// they say. What moto does not make at all is named, so that it is noticed when it does.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { type Moto, startMoto } from "../../store/test/moto.ts"
import { deploy } from "./deploy.ts"
import { template } from "./resolve.ts"

let moto: Moto
const by = (service: string): string =>
  `AWS4-HMAC-SHA256 Credential=anybody/20261123/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`

before(async () => {
  moto = await startMoto()
  for (const [path, body] of [
    ["code", ""],
    ["code/summary.zip", "PK"],
  ] as const) {
    const answer = await fetch(`${moto.endpoint}/${path}`, {
      method: "PUT",
      headers: { authorization: by("s3") },
      body,
    })
    assert.ok(answer.ok, await answer.text())
  }
})
after(() => moto.close())

/** Types of the resources that CloudFormation's answer leaves out. */
function notMade(file: string, made: ReadonlyMap<string, string>): string[] {
  const { Resources } = JSON.parse(template(file)) as { Resources: Readonly<Record<string, { Type: string }>> }
  return Object.entries(Resources)
    .filter(([id]) => (made.get(id) ?? "") === "")
    .map(([, { Type }]) => Type)
    .sort()
}

async function ask(target: string, body: object): Promise<string> {
  const headers = { "content-type": "application/x-amz-json-1.0", "x-amz-target": target, authorization: by("states") }
  const answer = await fetch(`${moto.endpoint}/`, { method: "POST", headers, body: JSON.stringify(body) })
  const text = await answer.text()
  assert.ok(answer.ok, text)
  return text
}

const given = { Source: "uploads", CodeBucket: "code", CodeKey: "summary.zip" }
const network = { Subnets: "subnet-1", SecurityGroups: "sg-1" }

test("map: the state machine is made, with either kind of worker, and nothing in its definition is left to replace", async () => {
  for (const worker of ["lambda", "fargate"]) {
    const { made, outputs } = await deploy(moto, worker, "map", { ...given, ...network, Worker: worker })
    // The rights of the other kind of worker, and what moto knows nothing of.
    assert.deepEqual(notMade("map", made), ["AWS::IAM::Policy", "AWS::Scheduler::Schedule"])
    const stateMachineArn = outputs.get("StateMachineArn")
    const definition = await ask("AWSStepFunctions.DescribeStateMachine", { stateMachineArn })
    assert.doesNotMatch(definition, /\$\{/)
    assert.match(definition, worker === "lambda" ? /states:::lambda:invoke/ : /states:::ecs:runTask\.sync/)
  }
})

test("alarms: the topic and the rules are made, and a source's alarms are asked for with that topic", async () => {
  const alarms = await deploy(moto, "alarms", "alarms", { Bucket: "the-bucket", Mail: "ops@example.com" })
  const unknown = ["AWS::CloudTrail::Trail", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy"]
  assert.deepEqual(notMade("alarms", alarms.made), unknown)
  const TopicArn = alarms.outputs.get("TopicArn") ?? ""
  assert.match(TopicArn, /^arn:aws:sns:/)
  const source = await deploy(moto, "docs", "source-alarms", { Source: "docs", TopicArn })
  assert.deepEqual(new Set(notMade("source-alarms", source.made)), new Set(["AWS::CloudWatch::Alarm"]))
})
