// The table of access for what runs by schedule: what services ask for in the names of their roles, which AWS documents and
// nobody here can record, and what must not go through.

import { type Denied, rows, type Stop } from "./access-denied.ts"
import { type Principal, type Question, roleArn, services } from "./judge.ts"
import { ACCOUNT, REGION, STACK } from "./resolve.ts"
import { named } from "./schedules.ts"

const own = (service: string, rest: string): string => `arn:aws:${service}:${REGION}:${ACCOUNT}:${rest}`
const lambda = (name: string): string => own("lambda", `function:${name}`)
const ec2 = (rest: string): string => own("ec2", rest)
const key = (name: string): string => own("ssm", `parameter/backup-cloud/identity/${name}`)
const stream = (group: string): string => own("logs", `log-group:${group}:log-stream:x`)
const instance = ec2("instance/i-0123456789abcdef0")
const image = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
const rule = own("events", "rule/StepFunctionsGetEventsForECSTaskRule")
const task = own("ecs", "task/Cluster/0123456789abcdef")
const machine = named["Machine"] ?? ""
const repository = (name: string): string => own("ecr", `repository/${name}`)
const PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
const LOG = ["logs:CreateLogStream", "logs:PutLogEvents"]

const template = {
  "ec2:LaunchTemplate": ec2(`launch-template/${named["Server"] ?? ""}`),
  "ec2:IsLaunchTemplateResource": "true",
}
const launched = [
  ...[instance, ec2("network-interface/eni-1"), ec2("volume/vol-1"), ec2("security-group/sg-1")],
  ...[ec2("subnet/subnet-1"), template["ec2:LaunchTemplate"], `arn:aws:ec2:${REGION}::image/ami-1`],
]
const launching = { "ec2:CreateAction": "RunInstances" }
const passedTo = (service: string): Record<string, string> => ({ "iam:PassedToService": `${service}.amazonaws.com` })
const tagged = (name: string): Record<string, string> => ({ "aws:ResourceTag/backup-cloud:schedule": name })

function asks(
  principal: Principal,
  actions: readonly string[],
  resources: readonly string[],
  context: Readonly<Record<string, string>> = {},
): Question[] {
  return actions.flatMap((action) => resources.map((resource) => ({ principal, action, resource, context })))
}

export const servicesAllowed: readonly Question[] = [
  ...asks("starter", ["states:StartExecution"], [machine]),
  ...asks("caller", ["lambda:InvokeFunction"], [lambda("BackupFunction")]),
  ...asks("runner", ["ecs:RunTask"], [named["Task"] ?? ""]),
  ...asks("runner", ["ecs:StopTask", "ecs:DescribeTasks"], [task]),
  ...asks("runner", ["iam:PassRole"], [roleArn("source"), `arn:aws:iam::${ACCOUNT}:role/backup-cloud/PullRole`], {
    ...passedTo("ecs-tasks"),
  }),
  ...asks("runner", ["events:PutTargets", "events:PutRule", "events:DescribeRule"], [rule]),
  ...asks("puller", LOG, [stream("Logs")]),
  ...asks("puller", ["ecr:GetAuthorizationToken"], ["*"]),
  ...asks("puller", PULL, [repository("backup-cloud")]),
  ...asks("launcher", ["ec2:RunInstances"], launched, template),
  ...asks("launcher", ["ec2:CreateTags"], launched.slice(0, 3), launching),
  ...asks("launcher", ["iam:PassRole"], [roleArn("source")], passedTo("ec2")),
  ...asks("launcher", ["ssm:GetParameters"], [own("ssm", `parameter${image}`)]),
  ...asks("watcher", ["lambda:InvokeFunction"], [lambda("Watchdog")]),
  ...asks("watchdog", LOG, [stream("WatchdogLogs")]),
  ...asks("watchdog", ["ec2:DescribeInstances"], ["*"]),
  ...asks("watchdog", ["ec2:TerminateInstances"], [instance], tagged(STACK)),
  ...asks("source", LOG, [stream("Logs")]),
  ...asks("source", ["s3:GetObject"], ["arn:aws:s3:::code/release.tar.gz"]),
]

const startsOne = "What starts a source by schedule starts that one, and does nothing else."
const fromTemplate =
  "A server is launched from the template of its schedule, unchanged, and with the role of its source."
const endsTagged = "The watchdog ends what has the tag of its own schedule, and gives nothing that tag."
const ownThings =
  "A source that is run by schedule reads its release and writes its log, and changes neither afterwards."
const noArchive = "No role that starts or ends a source reaches the archive."
const byServices = "Only a service of AWS, for this account, takes a role that is for a service."

const by: readonly Stop[] = ["grant"]
const never = (
  cites: string,
  principal: Principal,
  actions: readonly string[],
  resources: readonly string[],
  context: Readonly<Record<string, string>> = {},
): Denied[] => rows(cites, by, [principal], actions, resources, context)

export const servicesDenied: readonly Denied[] = [
  ...never(startsOne, "starter", ["states:StartExecution"], [own("states", "stateMachine:Other")]),
  ...never(startsOne, "starter", ["states:UpdateStateMachine"], [machine]),
  ...never(startsOne, "starter", ["lambda:InvokeFunction"], [lambda("BackupFunction")]),
  ...never(startsOne, "caller", ["lambda:InvokeFunction"], [lambda("Other")]),
  ...never(startsOne, "caller", ["lambda:UpdateFunctionCode"], [lambda("BackupFunction")]),
  ...never(startsOne, "watcher", ["lambda:InvokeFunction"], [lambda("BackupFunction")]),
  ...never(startsOne, "runner", ["ecs:RunTask"], [own("ecs", "task-definition/other:1")]),
  ...never(startsOne, "runner", ["ecs:RegisterTaskDefinition"], [named["Task"] ?? ""]),
  ...never(startsOne, "runner", ["ecs:StopTask"], [own("ecs", "task/Other/0123456789abcdef")]),
  ...never(startsOne, "runner", ["ecs:ExecuteCommand"], [task]),
  ...never(startsOne, "runner", ["events:PutRule"], [own("events", "rule/other")]),
  ...never(
    startsOne,
    "runner",
    ["iam:PassRole"],
    [roleArn("operator"), roleArn("administrator")],
    passedTo("ecs-tasks"),
  ),
  ...never(startsOne, "runner", ["iam:PassRole"], [roleArn("source")], passedTo("lambda")),
  ...never(startsOne, "puller", PULL.slice(0, 2), [repository("other")]),
  ...never(startsOne, "puller", ["ecr:PutImage"], [repository("backup-cloud")]),
  ...never(startsOne, "puller", LOG, [stream("Other")]),
  // Without a template, from another one, and with something else than the template says.
  ...never(fromTemplate, "launcher", ["ec2:RunInstances"], [instance, ec2("volume/vol-1")]),
  ...never(fromTemplate, "launcher", ["ec2:RunInstances"], launched.slice(0, 5), {
    ...{ ...template, "ec2:LaunchTemplate": ec2("launch-template/lt-00000000000000000") },
  }),
  ...never(fromTemplate, "launcher", ["ec2:RunInstances"], launched, {
    ...template,
    "ec2:IsLaunchTemplateResource": "false",
  }),
  ...never(fromTemplate, "launcher", ["ec2:RunInstances"], [ec2("subnet/subnet-2")], template),
  ...never(fromTemplate, "launcher", ["ec2:CreateLaunchTemplateVersion"], [template["ec2:LaunchTemplate"]]),
  ...never(fromTemplate, "launcher", ["ec2:CreateTags"], [instance], { "ec2:CreateAction": "CreateVolume" }),
  ...never(fromTemplate, "launcher", ["ec2:TerminateInstances"], [instance], tagged(STACK)),
  ...never(
    fromTemplate,
    "launcher",
    ["iam:PassRole"],
    [roleArn("operator"), roleArn("administrator")],
    passedTo("ec2"),
  ),
  ...never(fromTemplate, "launcher", ["iam:PassRole"], [roleArn("source")], passedTo("lambda")),
  ...never(fromTemplate, "launcher", ["ssm:GetParameters"], [key("docs/secret")]),
  ...never(endsTagged, "watchdog", ["ec2:TerminateInstances"], [instance]),
  ...never(endsTagged, "watchdog", ["ec2:TerminateInstances"], [instance], tagged("another-stack")),
  ...never(endsTagged, "watchdog", ["ec2:CreateTags", "ec2:StopInstances"], [instance], tagged(STACK)),
  ...never(endsTagged, "watchdog", ["ec2:RunInstances"], [instance], template),
  ...never(endsTagged, "watchdog", ["ec2:GetConsoleOutput"], [instance]),
  ...never(ownThings, "source", ["s3:GetObject"], ["arn:aws:s3:::code/other"]),
  ...never(ownThings, "source", ["s3:PutObject"], ["arn:aws:s3:::code/release.tar.gz"]),
  ...never(ownThings, "source", ["logs:GetLogEvents", "logs:DeleteLogStream"], [stream("Logs")]),
  ...services.flatMap((who) => [
    ...never(noArchive, who, ["s3:GetObject"], ["archive.json", "backup/docs/20261123T221500Z-4f1c9a02/key.gpg"]),
    ...never(noArchive, who, ["s3:ListBucket"], [""]),
    ...never(noArchive, who, ["s3:PutObject"], ["backup/docs/20261123T221500Z-4f1c9a02/receipt-0001.json"], {
      "s3:if-none-match": "*",
    }),
    ...never(noArchive, who, ["ssm:GetParameter"], [key("docs/secret")]),
    ...rows(byServices, by, ["source", "operator", "stranger"], ["sts:AssumeRole"], [roleArn(who)]),
  ]),
]
