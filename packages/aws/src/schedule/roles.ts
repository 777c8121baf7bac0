// The roles that services of AWS take to start a backup, and what the source's own role gets on top to be one that is
// started. Each can do the one thing that it is for.

import { Fn } from "aws-cdk-lib"
import { CfnManagedPolicy, CfnRole } from "aws-cdk-lib/aws-iam"
import type { Construct } from "constructs"
import { allowPatterns } from "../role-policy.ts"
import { ref, sub } from "./parameters.ts"

export interface Right {
  readonly Sid: string
  readonly Action: readonly string[]
  readonly Resource: readonly unknown[]
  readonly Condition?: unknown
}

const document = (rights: readonly Right[]): object => ({
  Version: "2012-10-17",
  Statement: rights.map(({ Sid, ...rest }) => ({ Sid, Effect: "Allow", ...rest })),
})

/**
 * A role for a service of this account alone.
 * @param sourceArn of what the service acts for, with patterns; not given for services that don't tell
 * @param why the reason for each pattern in the rights
 */
export function serviceRole(
  scope: Construct,
  id: string,
  { service, sourceArn, description }: Readonly<{ service: string; sourceArn?: string; description: string }>,
  rights: readonly Right[],
  why = "",
): CfnRole {
  const fromHere = {
    StringEquals: { "aws:SourceAccount": ref("AWS::AccountId") },
    ArnLike: { "aws:SourceArn": sub(sourceArn ?? "") },
  }
  const role = new CfnRole(scope, id, {
    description,
    path: "/backup-cloud/",
    assumeRolePolicyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          ...{ Sid: "Service", Effect: "Allow", Principal: { Service: service }, Action: ["sts:AssumeRole"] },
          ...(sourceArn === undefined ? {} : { Condition: fromHere }),
        },
      ],
    },
    policies: [{ policyName: "rights", policyDocument: document(rights) }],
  })
  acknowledge(role, rights, why)
  return role
}

/** What the source's role gets on top to be run by this stack. */
export function runRights(scope: Construct, rights: readonly Right[]): CfnManagedPolicy {
  return new CfnManagedPolicy(scope, "RunRights", {
    description: "What a source of an archive of backup-cloud needs to be run by schedule",
    path: "/backup-cloud/",
    policyDocument: document(rights),
    roles: [Fn.ref("SourceRole")],
  })
}

/** The right to write into a log group of this stack, and nothing else there. */
export function writesTo(logGroup: string): Right {
  return { Sid: "Log", Action: ["logs:CreateLogStream", "logs:PutLogEvents"], Resource: [sub(`\${${logGroup}.Arn}`)] }
}

function acknowledge(resource: CfnRole, rights: readonly Right[], reason: string): void {
  const resources = rights.flatMap(({ Resource }) => Resource)
  allowPatterns(
    resource,
    resources.flatMap((each) =>
      typeof each === "string" ? [each] : [(each as { "Fn::Sub"?: string })["Fn::Sub"] ?? ""],
    ),
    reason,
  )
}
