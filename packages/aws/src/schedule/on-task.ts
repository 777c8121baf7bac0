// By a container on Fargate: for what a function is too small for. A state machine waits for it, and stops it when its time
// is over.

import { CfnParameter, Fn, Validations } from "aws-cdk-lib"
import { CfnCluster, CfnTaskDefinition } from "aws-cdk-lib/aws-ecs"
import type { Construct } from "constructs"
import { logGroup } from "./code.ts"
import { definitionString, taskMachine } from "./definitions.ts"
import { machine } from "./machine.ts"
import { closedGroup } from "./network.ts"
import { IDENTITY, ROLE, sub, text } from "./parameters.ts"
import { serviceRole, writesTo } from "./roles.ts"
import type { Scheduled } from "./scheduler.ts"

export interface TaskProps {
  /** Repository of the image in this account's registry, `backup-cloud` unless given. */
  readonly repository?: string
  /** `:latest` unless given. */
  readonly imageTag?: string
}

export function onTask(scope: Construct, props: TaskProps): Scheduled {
  const size = (id: string, description: string, value: string): string =>
    new CfnParameter(scope, id, { description, default: value, allowedPattern: "^[0-9]{3,6}$" }).valueAsString
  text(
    scope,
    "Repository",
    "Of the image, in the registry of this account and region",
    "^[a-z0-9]+([._/-][a-z0-9]+)*$",
    props.repository ?? "backup-cloud",
  )
  text(
    scope,
    "ImageTag",
    "A tag with its colon, which each run takes as it is then, or a digest with its @",
    "^(:[A-Za-z0-9_.-]{1,128}|@sha256:[0-9a-f]{64})$",
    props.imageTag ?? ":latest",
  )
  const architecture = new CfnParameter(scope, "Architecture", {
    ...{ default: "X86_64", allowedValues: ["X86_64", "ARM64"] },
    description: "What the image was built for",
  })
  const scratch = new CfnParameter(scope, "Scratch", {
    ...{ type: "Number", default: 21, minValue: 21, maxValue: 200 },
    description: "GiB of /tmp, which is gone with the task",
  })
  const { condition } = closedGroup(scope)
  const groups = Fn.conditionIf(
    condition,
    Fn.sub('"${Group.GroupId}","${DataGroup}"'),
    Fn.sub('"${Group.GroupId}"'),
  ).toString()
  logGroup(scope, "Logs")
  const cluster = new CfnCluster(scope, "Cluster", {})
  Validations.of(cluster).acknowledge({
    id: "AwsSolutions-ECS4",
    reason: "one task a run, which states its own figures",
  })
  const puller = pullingRole(scope)
  const task = new CfnTaskDefinition(scope, "Task", {
    family: Fn.ref("AWS::StackName"),
    requiresCompatibilities: ["FARGATE"],
    networkMode: "awsvpc",
    cpu: size("Cpu", "1024 is one processor; Fargate knows which memory goes with it", "1024"),
    memory: size("Memory", "MiB of memory", "4096"),
    ephemeralStorage: { sizeInGiB: scratch.valueAsNumber },
    runtimePlatform: { cpuArchitecture: architecture.valueAsString, operatingSystemFamily: "LINUX" },
    taskRoleArn: Fn.sub(ROLE),
    executionRoleArn: puller,
    volumes: [{ name: "tmp" }],
    containerDefinitions: [
      {
        name: "backup",
        image: Fn.sub("${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/${Repository}${ImageTag}"),
        essential: true,
        entryPoint: ["backup-cloud"],
        command: ["backup", Fn.ref("Source"), "--metrics", "emf"],
        environment: [
          { name: "BACKUP_CLOUD_ARCHIVE", value: Fn.ref("Archive") },
          { name: "BACKUP_CLOUD_IDENTITY", value: Fn.sub(IDENTITY) },
        ],
        readonlyRootFilesystem: true,
        linuxParameters: { initProcessEnabled: true, capabilities: { drop: ["ALL"] } },
        mountPoints: [{ sourceVolume: "tmp", containerPath: "/tmp", readOnly: false }],
        stopTimeout: 120,
        logConfiguration: {
          logDriver: "awslogs",
          options: {
            "awslogs-group": Fn.ref("Logs"),
            "awslogs-region": Fn.ref("AWS::Region"),
            "awslogs-stream-prefix": "backup",
          },
        },
      },
    ],
  })
  Validations.of(task).acknowledge({
    id: "AwsSolutions-ECS2",
    reason: "they name where things are; no secret is there",
  })
  const tasks = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task/${Cluster}/*"
  return machine(
    scope,
    definitionString(taskMachine, { Groups: groups }),
    [
      { Sid: "Run", Action: ["ecs:RunTask"], Resource: [sub("${Task}")] },
      { Sid: "End", Action: ["ecs:StopTask", "ecs:DescribeTasks"], Resource: [sub(tasks)] },
      {
        Sid: "Roles",
        Action: ["iam:PassRole"],
        Resource: [sub(ROLE), puller],
        Condition: { StringEquals: { "iam:PassedToService": "ecs-tasks.amazonaws.com" } },
      },
      {
        // By it Step Functions hears when a task ended.
        Sid: "Hear",
        Action: ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
        Resource: [
          sub(
            "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/StepFunctionsGetEventsForECSTaskRule",
          ),
        ],
      },
    ],
    "a task gets its name when it is started; the pattern is the cluster, in which nothing else runs",
  )
}

/** With it ECS fetches the image and writes the log: nothing that the task itself has. @returns its ARN */
function pullingRole(scope: Construct): string {
  const role = serviceRole(
    scope,
    "PullRole",
    {
      service: "ecs-tasks.amazonaws.com",
      sourceArn: "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:*",
      description: "With it ECS fetches the image of backup-cloud and writes its log",
    },
    [
      writesTo("Logs"),
      { Sid: "Registry", Action: ["ecr:GetAuthorizationToken"], Resource: ["*"] },
      {
        Sid: "Image",
        Action: ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
        Resource: [sub("arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${Repository}")],
      },
    ],
    "the token for a registry belongs to no resource",
  )
  return role.attrArn
}
