// By a server that lives for one run: for large databases. EventBridge Scheduler launches it from a template that says
// everything, it sets itself up by its user data, and it ends whatever happens; what outlives its limit a function ends.
//
// Not here: any way in. Nobody logs in on such a server; what it did is in its log.

import { CfnOutput, CfnParameter, Fn, Token, Validations } from "aws-cdk-lib"
import { CfnLaunchTemplate } from "aws-cdk-lib/aws-ec2"
import type { CfnScheduleGroup } from "aws-cdk-lib/aws-scheduler"
import type { Construct } from "constructs"
import { type CodeProps, codeBucket, functionCode, handlerFunction, KEY, logGroup } from "./code.ts"
import { closedGroup } from "./network.ts"
import { ROLE, ref, sub, text } from "./parameters.ts"
import { type Right, runRights, serviceRole, writesTo } from "./roles.ts"
import { type Scheduled, scheduled } from "./scheduler.ts"
import { userData } from "./user-data.ts"

export interface ServerProps extends CodeProps {
  /** Output `SourceProfileName` of the source's stack. */
  readonly sourceProfile?: string
  /** Name in CodeBucket of the archive with the program. */
  readonly releaseKey?: string
  /** 64 hex digits. */
  readonly releaseSha256?: string
}

/** By which a server and its volume are known. */
const TAG = "backup-cloud:schedule"

export function onServer(scope: Construct, group: CfnScheduleGroup, props: ServerProps): Scheduled {
  codeBucket(scope, props.codeBucket)
  serverParameters(scope, props)
  const { own, condition } = closedGroup(scope)
  const groups = [own, Fn.conditionIf(condition, Fn.ref("DataGroup"), Fn.ref("AWS::NoValue")).toString()]
  logGroup(scope, "Logs")
  runRights(scope, [
    writesTo("Logs"),
    {
      Sid: "Release",
      Action: ["s3:GetObject"],
      Resource: [sub("arn:${AWS::Partition}:s3:::${CodeBucket}/${ReleaseKey}")],
    },
  ])
  const tags = [
    { key: TAG, value: Fn.ref("AWS::StackName") },
    { key: "backup-cloud:source", value: Fn.ref("Source") },
  ]
  const template = new CfnLaunchTemplate(scope, "Server", {
    launchTemplateData: {
      imageId: Fn.sub("resolve:ssm:${Image}"),
      instanceType: Fn.ref("InstanceType"),
      iamInstanceProfile: {
        arn: Fn.sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:instance-profile/backup-cloud/${SourceProfile}"),
      },
      instanceInitiatedShutdownBehavior: "terminate",
      disableApiTermination: false,
      metadataOptions: {
        ...{ httpTokens: "required", httpPutResponseHopLimit: 1 },
        ...{ httpEndpoint: "enabled", instanceMetadataTags: "disabled" },
      },
      networkInterfaces: [
        {
          ...{ deviceIndex: 0, subnetId: Fn.ref("Subnet"), groups },
          ...{ associatePublicIpAddress: false, deleteOnTermination: true },
        },
      ],
      blockDeviceMappings: [
        {
          deviceName: "/dev/xvda",
          ebs: {
            ...{ volumeType: "gp3", volumeSize: Token.asNumber(Fn.ref("DiskGiB")) },
            ...{ encrypted: true, deleteOnTermination: true },
          },
        },
      ],
      tagSpecifications: ["instance", "volume", "network-interface"].map((resourceType) => ({ resourceType, tags })),
      userData: userData(),
    },
  })
  const byName = "an image is named by a parameter of Systems Manager, which EC2 reads when it launches a server"
  for (const id of ["CloudFormation-Validate::W1030", "CloudFormation-Validate::W2506"])
    Validations.of(id.endsWith("6") ? scope : template).acknowledge({ id, reason: byName })
  watchdog(scope, group, functionCode(scope, props))
  new CfnOutput(scope, "ServerTemplateId", { value: template.ref })
  return {
    target: Fn.sub("arn:${AWS::Partition}:scheduler:::aws-sdk:ec2:runInstances"),
    // Delivered twice, it launches once.
    input: JSON.stringify({
      LaunchTemplate: {
        LaunchTemplateId: `\${${template.node.id}}`,
        Version: `\${${template.node.id}.LatestVersionNumber}`,
      },
      ...{ MinCount: 1, MaxCount: 1, ClientToken: "<aws.scheduler.execution-id>" },
    }),
    rights: launches(),
    why: "what is launched gets its name then, and the conditions hold it to the launch template; a parameter names an image",
  }
}

function serverParameters(scope: Construct, props: ServerProps): void {
  text(
    scope,
    "SourceProfile",
    "The output SourceProfileName of the source's stack",
    "^[A-Za-z0-9_+=,.@-]{1,128}$",
    props.sourceProfile,
  )
  text(scope, "ReleaseKey", "Name in CodeBucket of the archive with the program", KEY, props.releaseKey)
  text(scope, "ReleaseSha256", "SHA-256 of that archive; another one is not run", "^[0-9a-f]{64}$", props.releaseSha256)
  new CfnParameter(scope, "Packages", {
    description: "Packages of the distribution to install besides, such as postgresql17, parted by blanks",
    default: "",
    allowedPattern: "^[A-Za-z0-9 ._+-]*$",
  })
  text(
    scope,
    "Image",
    "Parameter of Systems Manager that names the image when a server is launched; the release is for its processor",
    "^(/[A-Za-z0-9_.-]+)+$",
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
  )
  text(scope, "InstanceType", "With the processor that the image is for", "^[a-z0-9-]+\\.[a-z0-9-]+$", "m7i.large")
  new CfnParameter(scope, "DiskGiB", {
    ...{ type: "Number", default: 30, minValue: 8, maxValue: 16_384 },
    description: "GiB of the disk, which is encrypted and gone with the server",
  })
}

/** One server from this template, with this role, and nothing that the template does not say. */
function launches(): Right[] {
  const own = (what: string): object => sub(`arn:\${AWS::Partition}:ec2:\${AWS::Region}:\${AWS::AccountId}:${what}`)
  const fromTemplate = { ArnEquals: { "ec2:LaunchTemplate": own("launch-template/${Server}") } }
  return [
    {
      Sid: "Launch",
      Action: ["ec2:RunInstances"],
      Resource: [
        ...["instance/*", "network-interface/*", "volume/*", "security-group/*"].map(own),
        own("subnet/${Subnet}"),
        own("launch-template/${Server}"),
        sub("arn:${AWS::Partition}:ec2:${AWS::Region}::image/*"),
      ],
      Condition: { ...fromTemplate, Bool: { "ec2:IsLaunchTemplateResource": "true" } },
    },
    {
      Sid: "Tag",
      Action: ["ec2:CreateTags"],
      Resource: ["instance/*", "network-interface/*", "volume/*"].map(own),
      Condition: { StringEquals: { "ec2:CreateAction": "RunInstances" } },
    },
    {
      Sid: "Role",
      Action: ["iam:PassRole"],
      Resource: [sub(ROLE)],
      Condition: { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } },
    },
    {
      Sid: "Image",
      Action: ["ssm:GetParameters"],
      // Of AWS, whose parameters are in no account, or of this account.
      Resource: [sub("arn:${AWS::Partition}:ssm:${AWS::Region}:*:parameter${Image}")],
    },
  ]
}

/** Ends what bears this stack's tag and outlived its limit. */
function watchdog(scope: Construct, group: CfnScheduleGroup, code: ReturnType<typeof functionCode>): void {
  const logs = logGroup(scope, "WatchdogLogs")
  const servers = "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:instance/*"
  const role = serviceRole(
    scope,
    "WatchdogRole",
    { service: "lambda.amazonaws.com", description: "With it a function ends servers of one schedule of backup-cloud" },
    [
      writesTo("WatchdogLogs"),
      { Sid: "Look", Action: ["ec2:DescribeInstances"], Resource: ["*"] },
      {
        Sid: "End",
        Action: ["ec2:TerminateInstances"],
        Resource: [sub(servers)],
        Condition: { StringEquals: { [`aws:ResourceTag/${TAG}`]: ref("AWS::StackName") } },
      },
    ],
    "a server gets its name when it is launched; its tag is the condition, and for looking AWS knows none",
  )
  handlerFunction(scope, "Watchdog", {
    ...{ file: "watchdog", code, role: role.attrArn, logs, memorySize: 256, timeout: 60 },
  })
  scheduled(scope, "Watch", group, "rate(15 minutes)", {
    target: Fn.sub("${Watchdog.Arn}"),
    input: '{"schedule":"${AWS::StackName}","limitSeconds":${LimitSeconds}}',
    rights: [{ Sid: "Call", Action: ["lambda:InvokeFunction"], Resource: [sub("${Watchdog.Arn}")] }],
  })
}
