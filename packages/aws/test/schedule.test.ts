// What the templates of schedules say: the machines are what Step Functions takes, a task and a server have what keeps them
// closed and short-lived, and the events are those that the handlers read.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import validate from "asl-validator"
import { App } from "aws-cdk-lib"
import { ScheduleStack } from "../src/index.ts"
import { ACCOUNT, REGION, STACK } from "./resolve.ts"
import { definition, named, of, schedule, targetOf, ways } from "./schedules.ts"

test("the state machines are in the language of Step Functions, and what is not is found", () => {
  for (const on of ["function", "task"] as const) {
    const found = validate(definition(on))
    assert.ok(found.isValid, found.errorsText())
  }
  const machine = definition("function")
  const without = (state: string): object => {
    const States = Object.fromEntries(Object.entries(machine.States).filter(([name]) => name !== state))
    return { ...machine, States }
  }
  for (const broken of [
    without("Continue"),
    { ...machine, StartAt: "Nowhere" },
    { ...machine, States: { ...machine.States, Outcome: { ...machine.States["Outcome"], Default: "Nowhere" } } },
    { ...machine, States: { ...machine.States, Backup: { ...machine.States["Backup"], Type: "Work" } } },
    { ...machine, States: { ...machine.States, Backup: { ...machine.States["Backup"], ResultPath: "result" } } },
  ])
    assert.equal(validate(broken as typeof machine).isValid, false, JSON.stringify(broken))
})

test("the limit of time is the one that is given", () => {
  assert.equal(definition("function", { LimitSeconds: "4321" }).TimeoutSeconds, 4321)
  assert.equal(definition("task", { LimitSeconds: "4321" }).States["Backup"]?.["TimeoutSeconds"], 4321)
})

test("a schedule starts the machine with the event of the handler; a server is launched once, from its template", () => {
  for (const on of ["function", "task"] as const) {
    const { Arn, Input } = targetOf(schedule(on))
    assert.equal(Arn, named["Machine"])
    assert.deepEqual(JSON.parse(Input), { source: "docs", continuation: 0 })
  }
  const { Arn, Input } = targetOf(schedule("server"))
  assert.equal(Arn, "arn:aws:scheduler:::aws-sdk:ec2:runInstances")
  assert.deepEqual(JSON.parse(Input), {
    LaunchTemplate: { LaunchTemplateId: named["Server"], Version: "1" },
    ...{ MinCount: 1, MaxCount: 1, ClientToken: "<aws.scheduler.execution-id>" },
  })
  const watch = targetOf(schedule("server", { LimitSeconds: "4321" }), "WatchSchedule")
  assert.equal(watch.Arn, `arn:aws:lambda:${REGION}:${ACCOUNT}:function:Watchdog`)
  assert.deepEqual(JSON.parse(watch.Input), { schedule: STACK, limitSeconds: 4321 })
})

test("what runs is told the archive and where its identity is, and it is the source's role that runs", () => {
  const role = `arn:aws:iam::${ACCOUNT}:role/backup-cloud/docs-role`
  const told = { BACKUP_CLOUD_ARCHIVE: "ssm:/", BACKUP_CLOUD_IDENTITY: "ssm:/backup-cloud/identity/docs/" }
  const { Role, Environment, Handler } = of(schedule("function"), "BackupFunction")
  assert.deepEqual([Role, Handler, Environment], [role, "backup.handler", { Variables: told }])
  const task = of(schedule("task"), "Task")
  assert.equal(task["TaskRoleArn"], role)
  const [container] = task["ContainerDefinitions"] as [Record<string, unknown>]
  assert.deepEqual(
    container["Environment"],
    Object.entries(told).map(([Name, Value]) => ({ Name, Value })),
  )
  assert.deepEqual(container["Command"], ["backup", "docs", "--metrics", "emf"])
})

test("a task's disk is read-only but for /tmp, it has no public address, and nothing reaches it", () => {
  const [container] = of(schedule("task"), "Task")["ContainerDefinitions"] as [Record<string, unknown>]
  assert.equal(container["ReadonlyRootFilesystem"], true)
  assert.deepEqual(container["MountPoints"], [{ SourceVolume: "tmp", ContainerPath: "/tmp", ReadOnly: false }])
  const network = (more = {}): unknown =>
    (definition("task", more).States["Backup"]?.["Parameters"] as { NetworkConfiguration: unknown })
      .NetworkConfiguration
  const own = "sg-0123456789abcdef0"
  const where = { Subnets: ["subnet-1"], SecurityGroups: [own], AssignPublicIp: "DISABLED" }
  assert.deepEqual(network(), { AwsvpcConfiguration: where })
  const both = { ...where, SecurityGroups: [own, "sg-1"] }
  assert.deepEqual(network({ DataGroup: "sg-1" }), { AwsvpcConfiguration: both })
})

test("a server ends for good when it shuts down, has an encrypted disk, no way in, and metadata for itself alone", () => {
  const data = (more = {}): Record<string, unknown> =>
    of(schedule("server", more), "Server")["LaunchTemplateData"] as Record<string, unknown>
  const { UserData, TagSpecifications, ...rest } = data()
  assert.ok(UserData)
  const tags = ["the-stack", "docs"].map((Value, i) => ({
    Key: `backup-cloud:${["schedule", "source"][i] ?? ""}`,
    Value,
  }))
  assert.deepEqual(
    TagSpecifications,
    ["instance", "volume", "network-interface"].map((ResourceType) => ({ ResourceType, Tags: tags })),
  )
  assert.deepEqual(rest, {
    ImageId: "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    InstanceType: "m7i.large",
    IamInstanceProfile: { Arn: `arn:aws:iam::${ACCOUNT}:instance-profile/backup-cloud/docs-profile` },
    InstanceInitiatedShutdownBehavior: "terminate",
    DisableApiTermination: false,
    MetadataOptions: {
      ...{ HttpTokens: "required", HttpPutResponseHopLimit: 1 },
      ...{ HttpEndpoint: "enabled", InstanceMetadataTags: "disabled" },
    },
    NetworkInterfaces: [
      {
        ...{ DeviceIndex: 0, SubnetId: "subnet-1", Groups: ["sg-0123456789abcdef0"] },
        ...{ AssociatePublicIpAddress: false, DeleteOnTermination: true },
      },
    ],
    BlockDeviceMappings: [
      {
        DeviceName: "/dev/xvda",
        Ebs: { VolumeType: "gp3", VolumeSize: 30, Encrypted: true, DeleteOnTermination: true },
      },
    ],
  })
  const [{ Groups }] = data({ DataGroup: "sg-1" })["NetworkInterfaces"] as [{ Groups: unknown }]
  assert.deepEqual(Groups, ["sg-0123456789abcdef0", "sg-1"])
})

test("with the CDK, a folder of bundles takes the place of a bucket with the code", () => {
  const place = mkdtempSync(join(tmpdir(), "bundle-"))
  try {
    const bundle = join(place, "bundle")
    mkdirSync(bundle)
    writeFileSync(join(bundle, "backup.mjs"), "export const handler = () => null")
    const app = new App({ analyticsReporting: false, outdir: join(place, "out") })
    new ScheduleStack(app, "nightly", { on: "function", bundle, source: "docs" })
    const { Parameters, Resources } = app.synth().getStackByName("nightly").template as {
      Parameters: Record<string, { Default?: string }>
      Resources: Record<string, { Properties: Record<string, unknown> }>
    }
    assert.equal(Parameters["Source"]?.Default, "docs")
    assert.equal(Parameters["CodeBucket"], undefined)
    const { S3Key } = Resources["BackupFunction"]?.Properties["Code"] as { S3Key: string }
    assert.match(S3Key, /^[0-9a-f]{64}\.zip$/)
  } finally {
    rmSync(place, { recursive: true })
  }
})

test("nothing comes in to a task or a server, and TLS goes out", () => {
  for (const on of ["task", "server"] as const) {
    const { SecurityGroupIngress, SecurityGroupEgress } = of(schedule(on), "Group")
    assert.deepEqual(SecurityGroupIngress, [])
    const [{ FromPort, ToPort }, ...others] = SecurityGroupEgress as [Record<string, unknown>]
    assert.deepEqual([FromPort, ToPort, others], [443, 443, []])
  }
})

test("a schedule is of its stack's own group, and its role is for that group alone", () => {
  for (const on of ways) {
    const stack = schedule(on)
    const schedules = Object.entries(stack).filter(([, { Type }]) => Type === "AWS::Scheduler::Schedule")
    assert.equal(schedules.length, on === "server" ? 2 : 1)
    for (const [id, { Properties }] of schedules) {
      assert.equal(Properties["GroupName"], "Schedules")
      const role = of(stack, id.replace("Schedule", "Role"))
      assert.equal(targetOf(stack, id).RoleArn.endsWith(id.replace("Schedule", "Role")), true)
      assert.deepEqual(JSON.parse(JSON.stringify(role["AssumeRolePolicyDocument"])), {
        Version: "2012-10-17",
        Statement: [
          {
            Sid: "Service",
            Effect: "Allow",
            Principal: { Service: "scheduler.amazonaws.com" },
            Action: ["sts:AssumeRole"],
            Condition: {
              StringEquals: { "aws:SourceAccount": ACCOUNT },
              ArnLike: { "aws:SourceArn": `arn:aws:scheduler:${REGION}:${ACCOUNT}:schedule-group/${STACK}` },
            },
          },
        ],
      })
    }
  }
})
