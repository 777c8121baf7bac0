// The role of one source: deployed once for each, beside the archive's stack. It can create below its own folders and read
// what tells it what it did before, and none of what it sealed. What it may read of the data it backs up is another
// policy, which the page of its kind of source states, and which is attached to the same role.

import { CfnCondition, CfnOutput, CfnParameter, Fn, Stack, type StackProps } from "aws-cdk-lib"
import { CfnInstanceProfile, CfnRole } from "aws-cdk-lib/aws-iam"
import type { Construct } from "constructs"
import { baseParameter, DEFAULT_BASE, identitiesParameter, isGiven, kmsParameter, PATH } from "./parameters.ts"
import { keyRights, rolePolicy } from "./role-policy.ts"

/** Each is the default of a parameter of the template. */
export interface SourceStackProps extends StackProps {
  /** Its name in the archive; the parameter has no default unless it is given. */
  readonly source?: string
  /** Of the parameters in Systems Manager that the archive's stack made. */
  readonly base?: string
  /** The one of the archive's stack, if it has one. */
  readonly kmsKeyArn?: string
  /** A user or role, of a machine outside AWS for example, that may take the role, in place of what `runsOn` says. */
  readonly trustedArn?: string
  /** What takes the role: EC2 instances unless given. */
  readonly runsOn?: RunsOn
}

type RunsOn = "server" | "function" | "task"

export class SourceStack extends Stack {
  constructor(scope: Construct, id: string, props: SourceStackProps = {}) {
    super(scope, id, { description: "The role of one source of an archive of backup-cloud", ...props })
    const source = new CfnParameter(this, "Source", {
      description: "Name of the source in the archive",
      ...(props.source === undefined ? {} : { default: props.source }),
      allowedPattern: "^[a-z0-9][a-z0-9-]{0,62}$",
    })
    const base = props.base ?? DEFAULT_BASE
    baseParameter(this, props.base)
    identitiesParameter(this)
    for (const [name, parameter] of [
      ["Bucket", "s3_bucket"],
      [PATH, "s3_path"],
    ] as const) {
      new CfnParameter(this, name, {
        type: "AWS::SSM::Parameter::Value<String>",
        description: `The parameter ${parameter} below the base, which the archive's stack made`,
        default: `${base}/${parameter}`,
      })
    }
    const usesKms = kmsParameter(this, props.kmsKeyArn)
    const role = this.#role(source, props)
    rolePolicy(this, "SourceRights", "source", { bucket: "Bucket", source: source.node.id }, [role])
    keyRights(this, "KeyRights", usesKms, [role])
    const profile = new CfnInstanceProfile(this, "SourceProfile", { path: "/backup-cloud/", roles: [role.ref] })
    new CfnOutput(this, "SourceRoleArn", { value: role.attrArn })
    new CfnOutput(this, "SourceProfileArn", { value: profile.attrArn })
    new CfnOutput(this, "SourceRoleName", { value: role.ref })
    new CfnOutput(this, "SourceProfileName", { value: profile.ref })
  }

  #role(source: CfnParameter, { trustedArn, runsOn }: SourceStackProps): CfnRole {
    const takes = new CfnParameter(this, "RunsOn", {
      description: "What takes the role: a server is an EC2 instance, a function one of Lambda, a task one of ECS",
      default: runsOn ?? "server",
      allowedValues: ["server", "function", "task"],
    })
    const isOn = (id: string, on: RunsOn): string =>
      new CfnCondition(this, id, { expression: Fn.conditionEquals(takes.valueAsString, on) }).logicalId
    const trusted = new CfnParameter(this, "TrustedArn", {
      description: "ARN of a user or role that may take the role of the source; empty for what RunsOn says",
      default: trustedArn ?? "",
      allowedPattern: "^$|^arn:[a-z-]+:(iam|sts)::[0-9]{12}:.+$",
    })
    const given = isGiven(this, "TrustedGiven", trusted)
    return new CfnRole(this, "SourceRole", {
      description: "A source of an archive of backup-cloud",
      path: "/backup-cloud/",
      assumeRolePolicyDocument: {
        Version: "2012-10-17",
        Statement: [
          {
            Sid: "Machine",
            Effect: "Allow",
            Principal: Fn.conditionIf(
              given.logicalId,
              { AWS: trusted.valueAsString },
              {
                Service: Fn.conditionIf(
                  isOn("OnFunction", "function"),
                  "lambda.amazonaws.com",
                  Fn.conditionIf(isOn("OnTask", "task"), "ecs-tasks.amazonaws.com", "ec2.amazonaws.com"),
                ),
              },
            ),
            Action: ["sts:AssumeRole"],
          },
        ],
      },
      tags: [{ key: "backup-cloud:source", value: source.valueAsString }],
    })
  }
}
