// A large bucket's shards, backed up each by a worker of its own: a state machine (map-definition.ts), the function that
// says at its end what they came to, and when it begins. The workers, a Lambda function or a Fargate task for each shard
// with the role of that shard, are made elsewhere and named here by a pattern: this stack may start them, and no more. It
// has no right in the archive and none in the bucket that is backed up.

import {
  CfnCondition,
  CfnDeletionPolicy,
  CfnOutput,
  CfnParameter,
  CfnRule,
  Fn,
  Stack,
  type StackProps,
} from "aws-cdk-lib"
import { CfnPolicy } from "aws-cdk-lib/aws-iam"
import { CfnFunction } from "aws-cdk-lib/aws-lambda"
import { CfnLogGroup } from "aws-cdk-lib/aws-logs"
import { CfnSchedule } from "aws-cdk-lib/aws-scheduler"
import { CfnStateMachine } from "aws-cdk-lib/aws-stepfunctions"
import type { Construct } from "constructs"
import { mapDefinition } from "./map-definition.ts"
import { mapRights, serviceRole, summaryRights } from "./map-rights.ts"

/** Each is the default of a parameter of the template. */
export interface MapStackProps extends StackProps {
  /** The name that the shards have in common: `uploads` of `uploads-00`. */
  readonly source?: string
  /** How many there are, 16 unless given; the number of `source add --shards`. */
  readonly shards?: number
  /** How many are backed up at the same time, 16 unless given. */
  readonly concurrency?: number
  /** What backs up a shard; `lambda` unless given. */
  readonly worker?: "lambda" | "fargate"
  /** When, as EventBridge Scheduler writes it; daily at 1:15 UTC unless given. */
  readonly schedule?: string
  /** Name of the function `backup`, in which a star stands for the name of the shard; `backup-cloud-*` unless given. */
  readonly function?: string
  /** Name of the task definition, a star as above; `backup-cloud-*` unless given. */
  readonly taskDefinition?: string
  /** Names, with their paths, of the roles that those tasks get, of task and execution; a star as above. */
  readonly taskRole?: string
  readonly executionRole?: string
  readonly cluster?: string
  /** Ids, separated by commas. */
  readonly subnets?: string
  readonly securityGroups?: string
  /** Hours after which a task is stopped and begun again where it was, 24 unless given. */
  readonly taskHours?: number
  /** Bucket and key of the bundled function `summary`. */
  readonly codeBucket?: string
  readonly codeKey?: string
}

export class MapStack extends Stack {
  constructor(scope: Construct, id: string, props: MapStackProps = {}) {
    super(scope, id, {
      description: "Backs up the shards of a large bucket with backup-cloud, many at the same time",
      ...props,
    })
    const source = this.#parameters(props)
    this.#workers(props)
    const condition = (id: string, worker: string): CfnCondition =>
      new CfnCondition(this, id, { expression: Fn.conditionEquals(Fn.ref("Worker"), worker) })
    const uses = { lambda: condition("UsesLambda", "lambda"), fargate: condition("UsesFargate", "fargate") }
    const summary = this.#summary(props)
    const logs = this.#logs("MapLogs")
    const role = serviceRole(this, "MapRole", "states.amazonaws.com", "With it Step Functions starts the workers")
    const rights = mapRights(this, role, summary, uses)
    const machine = new CfnStateMachine(this, "Map", {
      // A name that the role can be given rights on before the machine is there.
      stateMachineName: Fn.ref("AWS::StackName"),
      stateMachineType: "STANDARD",
      roleArn: role.attrArn,
      definitionString: Fn.conditionIf(
        uses.lambda.logicalId,
        { "Fn::Sub": mapDefinition("lambda") },
        { "Fn::Sub": mapDefinition("fargate") },
      ).toString(),
      loggingConfiguration: {
        level: "ALL",
        includeExecutionData: false,
        destinations: [{ cloudWatchLogsLogGroup: { logGroupArn: logs.attrArn } }],
      },
      tracingConfiguration: { enabled: true },
    })
    machine.addResourceDependency(rights)
    this.#schedule(machine, props)
    new CfnOutput(this, "StateMachineArn", { value: machine.ref })
    new CfnOutput(this, "SummarySource", {
      description: "The dimension Source of the metrics of all shards together",
      value: source.valueAsString,
    })
  }

  #parameters(props: MapStackProps): CfnParameter {
    const number = (id: string, description: string, value: number, most: number): CfnParameter =>
      new CfnParameter(this, id, { type: "Number", description, default: value, minValue: 1, maxValue: most })
    const source = new CfnParameter(this, "Source", {
      description: "The name that the shards have in common: uploads of uploads-00",
      ...(props.source === undefined ? {} : { default: props.source }),
      allowedPattern: "^[a-z0-9][a-z0-9-]*$",
      // All their names and results pass through one state.
      maxLength: 40,
    })
    number("Shards", "How many shards there are, as source add --shards was told", props.shards ?? 16, 1000)
    number("Concurrency", "How many are backed up at the same time", props.concurrency ?? 16, 1000)
    number("TaskHours", "Of Fargate: hours after which a task is stopped, and begun again", props.taskHours ?? 24, 168)
    return source
  }

  #workers(props: MapStackProps): void {
    const name = (id: string, description: string, value: string): CfnParameter =>
      new CfnParameter(this, id, { description, default: value, allowedPattern: "^[A-Za-z0-9_+=,.@/*-]+$" })
    new CfnParameter(this, "Worker", {
      description: "What backs up a shard: a Lambda function, or a task of Fargate, which has as long as it needs",
      default: props.worker ?? "lambda",
      allowedValues: ["lambda", "fargate"],
    })
    const star = "; a star stands for the name of the shard"
    name("Function", `Of Lambda: name of the function backup${star}`, props.function ?? "backup-cloud-*")
    name("TaskDefinition", `Of Fargate: name of the task definition${star}`, props.taskDefinition ?? "backup-cloud-*")
    const role = `Of Fargate: name, with its path, of the task's role${star}`
    name("TaskRole", role, props.taskRole ?? "backup-cloud/backup-cloud-*")
    const execution = `Of Fargate: name, with its path, of the role with which ECS starts the task${star}`
    name("ExecutionRole", execution, props.executionRole ?? "backup-cloud/execution")
    name("Cluster", "Of Fargate: name of the cluster", props.cluster ?? "default")
    name("ContainerName", "Of Fargate: name of the container in the task definition", "backup-cloud")
    const ids = (id: string, of: string, value: string | undefined, pattern: string): CfnParameter =>
      new CfnParameter(this, id, {
        description: `Of Fargate: ids of ${of}, with commas between`,
        default: value ?? "",
        allowedPattern: `^$|${pattern}`,
      })
    const needed = [
      ids("Subnets", "subnets", props.subnets, "^subnet-[a-z0-9,-]+$"),
      ids(
        "SecurityGroups",
        "security groups without a rule for what comes in",
        props.securityGroups,
        "^sg-[a-z0-9,-]+$",
      ),
    ]
    new CfnParameter(this, "PublicIp", {
      description: "Of Fargate: whether a task has a public address, for subnets without another way out",
      default: "DISABLED",
      allowedValues: ["DISABLED", "ENABLED"],
    })
    new CfnRule(this, "NetworkOfFargate", {
      ruleCondition: Fn.conditionEquals(Fn.ref("Worker"), "fargate"),
      assertions: needed.map(({ logicalId, valueAsString }) => ({
        assert: Fn.conditionNot(Fn.conditionEquals(valueAsString, "")),
        assertDescription: `Worker fargate needs ${logicalId}`,
      })),
    })
  }

  /** It reads nothing and may do nothing but log. */
  #summary(props: MapStackProps): CfnFunction {
    const place = (id: string, description: string, value: string | undefined): CfnParameter =>
      new CfnParameter(this, id, { description, ...(value === undefined ? {} : { default: value }) })
    const bucket = place("CodeBucket", "Bucket with the bundled functions", props.codeBucket)
    const key = place("CodeKey", "Key of the bundled function summary, a zip, in it", props.codeKey)
    const logs = this.#logs("SummaryLogs")
    const role = serviceRole(this, "SummaryRole", "lambda.amazonaws.com", "The summary of a backup of shards: it logs")
    summaryRights(this, role, logs)
    return new CfnFunction(this, "Summary", {
      description: "Says what the backup of all shards came to, and throws if one of them failed",
      runtime: "nodejs24.x",
      architectures: ["arm64"],
      handler: "summary.handler",
      code: { s3Bucket: bucket.valueAsString, s3Key: key.valueAsString },
      role: role.attrArn,
      timeout: 60,
      memorySize: 256,
      loggingConfig: { logGroup: logs.ref },
    })
  }

  #logs(id: string): CfnLogGroup {
    const logs = new CfnLogGroup(this, id, {
      // Where Step Functions may write without a limit on how many groups there are.
      ...(id === "MapLogs" ? { logGroupName: Fn.sub("/aws/vendedlogs/states/${AWS::StackName}") } : {}),
      retentionInDays: 400,
    })
    // Kept, its name would keep the stack from being made again.
    logs.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE
    logs.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.DELETE
    return logs
  }

  #schedule(machine: CfnStateMachine, props: MapStackProps): void {
    const when = new CfnParameter(this, "Schedule", {
      description: "When a backup of all shards begins, as EventBridge Scheduler writes it, in UTC",
      default: props.schedule ?? "cron(15 1 * * ? *)",
      allowedPattern: "^(cron|rate)\\(.+\\)$",
    })
    const role = serviceRole(this, "ScheduleRole", "scheduler.amazonaws.com", "With it the schedule starts the backup")
    const rights = new CfnPolicy(this, "ScheduleRights", {
      policyName: "start",
      roles: [role.ref],
      policyDocument: {
        Version: "2012-10-17",
        Statement: [{ Sid: "Start", Effect: "Allow", Action: ["states:StartExecution"], Resource: [machine.ref] }],
      },
    })
    new CfnSchedule(this, "Begin", {
      description: "Backs up all shards",
      scheduleExpression: when.valueAsString,
      flexibleTimeWindow: { mode: "OFF" },
      target: { arn: machine.ref, roleArn: role.attrArn, input: "{}" },
    }).addResourceDependency(rights)
  }
}
