// What the state machine of `MapStack` and its summary may do: start the workers that the parameters name, and log.

import { type CfnCondition, Fn, type Stack } from "aws-cdk-lib"
import { CfnPolicy, CfnRole } from "aws-cdk-lib/aws-iam"
import type { CfnFunction } from "aws-cdk-lib/aws-lambda"
import type { CfnLogGroup } from "aws-cdk-lib/aws-logs"
import { allowPatterns } from "./role-policy.ts"

/** A role that a service of AWS takes, on behalf of this account only. */
export function serviceRole(stack: Stack, id: string, service: string, description: string): CfnRole {
  return new CfnRole(stack, id, {
    description,
    path: "/backup-cloud/",
    assumeRolePolicyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "Service",
          Effect: "Allow",
          Principal: { Service: service },
          Action: ["sts:AssumeRole"],
          // Lambda sends no account of a source.
          ...(service.startsWith("lambda")
            ? {}
            : { Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } } }),
        },
      ],
    },
  })
}

const ALL = "*"

export function mapRights(stack: Stack, role: CfnRole, summary: CfnFunction, lambda: CfnCondition): CfnPolicy {
  const allow = (Sid: string, Action: readonly string[], Resource: readonly unknown[], Condition?: unknown) => ({
    ...{ Sid, Effect: "Allow", Action, Resource },
    ...(Condition === undefined ? {} : { Condition }),
  })
  const nothing = { Ref: "AWS::NoValue" }
  const sub = (text: string) => ({ "Fn::Sub": text })
  const of = (service: string, what: string): string =>
    `arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${what}`
  const executions = of("states", "execution:${AWS::StackName}/*")
  const tasks = of("ecs", "task/${Cluster}/*")
  const revisions = of("ecs", "task-definition/${TaskDefinition}:*")
  const worker = of("lambda", "function:${Function}")
  const roleArn = (name: string): string => `arn:\${AWS::Partition}:iam::\${AWS::AccountId}:role/\${${name}}`
  const onCluster = { ArnEquals: { "ecs:cluster": sub(of("ecs", "cluster/${Cluster}")) } }
  const fargate = [
    allow("Run", ["ecs:RunTask"], [sub(revisions)], onCluster),
    allow("Follow", ["ecs:StopTask", "ecs:DescribeTasks"], [sub(tasks)]),
    allow("Give", ["iam:PassRole"], [sub(roleArn("TaskRole")), sub(roleArn("ExecutionRole"))], {
      StringEquals: { "iam:PassedToService": "ecs-tasks.amazonaws.com" },
    }),
    // By this rule, which Step Functions makes itself, it hears that a task has ended.
    allow(
      "Hear",
      ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
      [sub(of("events", "rule/StepFunctionsGetEventsForECSTaskRule"))],
    ),
  ]
  const policy = new CfnPolicy(stack, "MapRights", {
    policyName: "start",
    roles: [role.ref],
    policyDocument: {
      Version: "2012-10-17",
      Statement: [
        allow("Summary", ["lambda:InvokeFunction"], [summary.attrArn]),
        // The children of a distributed map are executions of the machine itself.
        allow("Children", ["states:StartExecution"], [sub(of("states", "stateMachine:${AWS::StackName}"))]),
        allow("OwnChildren", ["states:DescribeExecution", "states:StopExecution"], [sub(executions)]),
        Fn.conditionIf(lambda.logicalId, allow("Workers", ["lambda:InvokeFunction"], [sub(worker)]), nothing),
        ...fargate.map((statement) => Fn.conditionIf(lambda.logicalId, nothing, statement)),
        allow("Logs", LOG_DELIVERY, [ALL]),
        allow("Traces", TRACES, [ALL]),
      ],
    },
  })
  allowPatterns(policy, [executions], "executions get their names when they start, below the name of the machine")
  allowPatterns(policy, [tasks], "tasks get their names when they start, below the name of the cluster")
  allowPatterns(policy, [revisions], "the newest revision of the task definition is run")
  allowPatterns(policy, [ALL], "these actions know no resource; without them there are no logs and no traces")
  return policy
}

/** What Step Functions asks of the role of a machine that logs. */
const LOG_DELIVERY = [
  ...["logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"],
  ...["logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"],
]
const TRACES = [
  ...["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
]

export function summaryRights(stack: Stack, role: CfnRole, logs: CfnLogGroup): void {
  const streams = `\${${logs.node.id}.Arn}`
  new CfnPolicy(stack, "SummaryRights", {
    policyName: "log",
    roles: [role.ref],
    policyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          ...{ Sid: "Log", Effect: "Allow", Action: ["logs:CreateLogStream", "logs:PutLogEvents"] },
          Resource: [{ "Fn::Sub": streams }],
        },
      ],
    },
  })
}
