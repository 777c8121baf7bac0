// What the state machine of `MapStack` and its summary may do: start the workers that the parameters name, and log.

import type { CfnCondition, Stack } from "aws-cdk-lib"
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

const allow = (Sid: string, Action: readonly string[], Resource: readonly unknown[], Condition?: unknown) => ({
  ...{ Sid, Effect: "Allow", Action, Resource },
  ...(Condition === undefined ? {} : { Condition }),
})
const sub = (text: string) => ({ "Fn::Sub": text })
const of = (service: string, what: string): string =>
  `arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${what}`

/** @returns the policy without which the state machine can't be made; those for its workers are asked of it later */
export function mapRights(stack: Stack, role: CfnRole, summary: CfnFunction, uses: Workers): CfnPolicy {
  const policy = (id: string, policyName: string, Statement: readonly object[], condition?: CfnCondition) => {
    const made = new CfnPolicy(stack, id, {
      ...{ policyName, roles: [role.ref], policyDocument: { Version: "2012-10-17", Statement } },
    })
    if (condition !== undefined) made.cfnOptions.condition = condition
    return made
  }
  const executions = of("states", "execution:${AWS::StackName}/*")
  const own = policy("MapRights", "itself", [
    allow("Summary", ["lambda:InvokeFunction"], [summary.attrArn]),
    // The children of a distributed map are executions of the machine itself.
    allow("Children", ["states:StartExecution"], [sub(of("states", "stateMachine:${AWS::StackName}"))]),
    allow("OwnChildren", ["states:DescribeExecution", "states:StopExecution"], [sub(executions)]),
    allow("Logs", LOG_DELIVERY, [ALL]),
    allow("Traces", TRACES, [ALL]),
  ])
  allowPatterns(own, [executions], "executions get their names when they start, below the name of the machine")
  allowPatterns(own, [ALL], "these actions know no resource; without them there are no logs and no traces")
  policy(
    "LambdaRights",
    "functions",
    [allow("Workers", ["lambda:InvokeFunction"], [sub(of("lambda", "function:${Function}"))])],
    uses.lambda,
  )
  const tasks = of("ecs", "task/${Cluster}/*")
  const revisions = of("ecs", "task-definition/${TaskDefinition}:*")
  const roleArn = (name: string) => sub(`arn:\${AWS::Partition}:iam::\${AWS::AccountId}:role/\${${name}}`)
  const fargate = policy(
    "FargateRights",
    "tasks",
    [
      allow("Run", ["ecs:RunTask"], [sub(revisions)], {
        ArnEquals: { "ecs:cluster": sub(of("ecs", "cluster/${Cluster}")) },
      }),
      allow("Follow", ["ecs:StopTask", "ecs:DescribeTasks"], [sub(tasks)]),
      allow("Give", ["iam:PassRole"], [roleArn("TaskRole"), roleArn("ExecutionRole")], {
        StringEquals: { "iam:PassedToService": "ecs-tasks.amazonaws.com" },
      }),
      // By this rule, which Step Functions makes itself, it hears that a task has ended.
      allow(
        "Hear",
        ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
        [sub(of("events", "rule/StepFunctionsGetEventsForECSTaskRule"))],
      ),
    ],
    uses.fargate,
  )
  allowPatterns(fargate, [tasks], "tasks get their names when they start, below the name of the cluster")
  allowPatterns(fargate, [revisions], "the newest revision of the task definition is run")
  return own
}

/** Conditions of the template that the workers are of this kind. */
export interface Workers {
  readonly lambda: CfnCondition
  readonly fargate: CfnCondition
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
