// What the state machine over a bucket's shards, its summary and its schedule may do, and what not; and so for the build of
// the container image. The rows that are
// allowed are what AWS's documentation says that a distributed map, a Lambda worker and a task of Fargate ask for.

import type { Denied } from "./access-denied.ts"
import { mapArn, type Principal, type Question, roleArn } from "./judge.ts"
import { ACCOUNT, REGION } from "./resolve.ts"

const arn = (service: string, what: string): string => `arn:aws:${service}:${REGION}:${ACCOUNT}:${what}`
const role = (name: string): string => `arn:aws:iam::${ACCOUNT}:role/backup-cloud/${name}`
const STACK = "the-stack"
const onCluster = (name: string) => ({ "ecs:cluster": arn("ecs", `cluster/${name}`) })
const toTasks = { "iam:PassedToService": "ecs-tasks.amazonaws.com" }
const eventsRule = arn("events", "rule/StepFunctionsGetEventsForECSTaskRule")
const definition = arn("ecs", "task-definition/backup-cloud-uploads-00")

const rows = (
  principals: readonly Principal[],
  actions: readonly string[],
  resources: readonly string[],
  context: Readonly<Record<string, string>> = {},
): Question[] =>
  principals.flatMap((principal) =>
    actions.flatMap((action) => resources.map((resource) => ({ principal, action, resource, context }))),
  )

const maps = ["map", "mapTasks"] as const

export const mapAllowed: readonly Question[] = [
  ...rows(maps, ["lambda:InvokeFunction"], [arn("lambda", "function:Summary")]),
  ...rows(maps, ["states:StartExecution"], [mapArn]),
  ...rows(
    maps,
    ["states:DescribeExecution", "states:StopExecution"],
    [arn("states", `execution:${STACK}/EachShard:1`)],
  ),
  ...rows(["map"], ["lambda:InvokeFunction"], [arn("lambda", "function:backup-cloud-uploads-00")]),
  ...rows(["mapTasks"], ["ecs:RunTask"], [`${definition}:7`], onCluster("default")),
  ...rows(["mapTasks"], ["ecs:StopTask", "ecs:DescribeTasks"], [arn("ecs", "task/default/0123456789abcdef")]),
  ...rows(["mapTasks"], ["iam:PassRole"], [role("backup-cloud-uploads-00"), role("execution")], toTasks),
  ...rows(["mapTasks"], ["events:PutTargets", "events:PutRule", "events:DescribeRule"], [eventsRule]),
  ...rows(
    maps,
    [
      ...["logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"],
      ...["logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies"],
      ...["logs:DescribeLogGroups", "xray:PutTraceSegments", "xray:PutTelemetryRecords"],
      ...["xray:GetSamplingRules", "xray:GetSamplingTargets"],
    ],
    ["*"],
  ),
  ...rows(
    ["summary"],
    ["logs:CreateLogStream", "logs:PutLogEvents"],
    [arn("logs", "log-group:SummaryLogs:log-stream:1")],
  ),
  ...rows(["mapSchedule"], ["states:StartExecution"], [mapArn]),
  ...rows(["imageSchedule"], ["codebuild:StartBuild"], [arn("codebuild", "project/Build")]),
  ...rows(
    ["imageBuild"],
    ["logs:CreateLogStream", "logs:PutLogEvents"],
    [arn("logs", "log-group:BuildLogs:log-stream:1")],
  ),
  ...rows(["imageBuild"], ["ecr:GetAuthorizationToken"], ["*"]),
  ...rows(
    ["imageBuild"],
    [
      ...["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"],
      ...["ecr:CompleteLayerUpload", "ecr:PutImage"],
    ],
    [arn("ecr", "repository/images")],
  ),
]

const startsWorkers = "The state machine over the shards of a bucket starts their workers, and nothing else."
const passesRoles = "It gives the workers' roles to tasks of containers, and no other role to anybody."
const readsNothing =
  "The state machine, its summary and its schedule read and write nothing of an archive, nor of what it backs up."
const all = ["map", "mapTasks", "summary", "mapSchedule"] as const
const buildsOnly =
  "What builds the container image puts it into its own registry, and reaches nothing else in the account."
const builders = ["imageBuild", "imageSchedule"] as const
const sealed = "backup/uploads-00/20261123T221500Z-4f1c9a02/volume-00000001.tar.zst.gpg"
const create = { "s3:if-none-match": "*" }
const mfa = { "aws:MultiFactorAuthPresent": "true" }

const refused = (cites: string, questions: readonly Question[]): Denied[] =>
  questions.map((question) => ({ ...question, cites, by: ["grant"] }))

export const mapDenied: readonly Denied[] = [
  ...refused(startsWorkers, [
    ...rows(["map", "mapSchedule", "summary"], ["lambda:InvokeFunction"], [arn("lambda", "function:other")]),
    ...rows(["mapTasks"], ["lambda:InvokeFunction"], [arn("lambda", "function:backup-cloud-uploads-00")]),
    ...rows(["map"], ["ecs:RunTask"], [`${definition}:7`], onCluster("default")),
    ...rows(["mapTasks"], ["ecs:RunTask"], [`${definition}:7`], onCluster("other")),
    ...rows(["mapTasks"], ["ecs:RunTask"], [arn("ecs", "task-definition/other:1")], onCluster("default")),
    ...rows(["mapTasks"], ["ecs:StopTask"], [arn("ecs", "task/other/0123456789abcdef")]),
    ...rows([...maps, "summary"], ["states:StartExecution"], [arn("states", "stateMachine:other")]),
    ...rows(["mapSchedule"], ["states:StopExecution"], [arn("states", `execution:${STACK}:1`)]),
    ...rows(all, ["states:UpdateStateMachine"], [mapArn]),
  ]),
  ...refused(passesRoles, [
    ...rows(["map"], ["iam:PassRole"], [role("backup-cloud-uploads-00")], toTasks),
    ...rows(["mapTasks"], ["iam:PassRole"], [roleArn("operator"), roleArn("administrator")], toTasks),
    ...rows(["mapTasks"], ["iam:PassRole"], [role("backup-cloud-uploads-00")], {
      "iam:PassedToService": "lambda.amazonaws.com",
    }),
    ...rows(all, ["sts:AssumeRole"], [roleArn("operator"), roleArn("administrator"), roleArn("source")], mfa),
  ]),
  ...refused(readsNothing, [
    ...rows(all, ["s3:GetObject"], [sealed, "config/policy-000001.json", "arn:aws:s3:::photos/uploads/1.jpg"]),
    ...rows(all, ["s3:ListBucket"], [""], { "s3:prefix": "some/place/backup/" }),
    ...rows(all, ["s3:PutObject"], [sealed], create),
    ...rows(all, ["s3:DeleteObject"], [sealed]),
    ...rows(all, ["ssm:GetParameter"], [arn("ssm", "parameter/backup-cloud/identity/uploads-00/secret")]),
  ]),
  ...refused(buildsOnly, [
    ...rows(builders, ["ecr:PutImage", "ecr:BatchDeleteImage"], [arn("ecr", "repository/other")]),
    ...rows(builders, ["ecr:BatchDeleteImage"], [arn("ecr", "repository/images")]),
    ...rows(["imageBuild"], ["codebuild:StartBuild"], [arn("codebuild", "project/other")]),
    ...rows(["imageSchedule"], ["codebuild:StartBuild"], [arn("codebuild", "project/other")]),
    ...rows(builders, ["s3:GetObject", "s3:DeleteObject"], [sealed]),
    ...rows(builders, ["s3:PutObject"], ["config/policy-000002.json"], create),
    ...rows(builders, ["sts:AssumeRole"], [roleArn("operator"), roleArn("source")], mfa),
    ...rows(builders, ["ecs:RegisterTaskDefinition"], [arn("ecs", "task-definition/backup-cloud-uploads-00:8")]),
  ]),
]
