// The rights of a role, as `@backup-cloud/store` states them, in the language of a template: where they name a bucket, a
// path and a source, the template's own parameters and resources stand. Added is what only the account asks for: the two
// parameters that name the archive, and a KMS key where there is one.

import { iamPolicy, type Role } from "@backup-cloud/store"
import { type CfnCondition, type CfnResource, Validations } from "aws-cdk-lib"
import { CfnManagedPolicy, type CfnRole } from "aws-cdk-lib/aws-iam"
import type { Construct } from "constructs"
import { BASE, IDENTITIES, KMS_KEY, PATH } from "./parameters.ts"

/** Stand-ins that `iamPolicy` accepts, and that no right has in its text. */
const MARKS = { bucket: "the-bucket", prefix: "the-prefix", source: "the-source" }

/** Logical ids of the template for what the marks stand for. */
export interface Names {
  /** Of the bucket, or of a parameter with its name. */
  readonly bucket: string
  /** Of the parameter with the name of the source; only for the role `source`. */
  readonly source?: string
}

/** @param id logical id of the managed policy; the template has the parameters Path and Base */
export function rolePolicy(scope: Construct, id: string, role: Role, names: Names, roles: readonly CfnRole[]): void {
  const { bucket, prefix, source } = MARKS
  const rights = iamPolicy(role, { bucket, prefix, ...(names.source === undefined ? {} : { source }) })
  const marks: Marks = [
    ["arn:aws:", "arn:${AWS::Partition}:"],
    [bucket, `\${${names.bucket}}`],
    [prefix, `\${${PATH}}`],
    [source, `\${${names.source ?? ""}}`],
  ]
  const policyDocument = inTemplate(rights, marks) as { Statement: unknown[] }
  policyDocument.Statement.push(whereItIs())
  if (names.source !== undefined) policyDocument.Statement.push(...ownIdentity(names.source))
  const policy = new CfnManagedPolicy(scope, id, {
    description: `What the ${role} of an archive of backup-cloud may do, and must never do`,
    path: "/backup-cloud/",
    policyDocument,
    roles: roles.map(({ ref }) => ref),
  })
  allowPatterns(
    policy,
    rights.Statement.filter(({ Effect }) => Effect === "Allow").flatMap(({ Resource }) =>
      Resource.map((resource) => textInTemplate(resource, marks)),
    ),
    "objects get their names when a run is made; the pattern is the folder in which the role may have them",
  )
  if (names.source !== undefined)
    allowPatterns(
      policy,
      [
        `arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter\${${IDENTITIES}}/\${${names.source}}/*`,
      ],
      "the pattern is the path of the source's own identity, all of which it reads",
    )
}

/** Says to checkers of templates why a policy grants what these patterns match, and nothing else with a pattern. */
export function allowPatterns(policy: CfnResource, resources: readonly string[], reason: string): void {
  for (const resource of new Set(resources)) {
    if (!resource.includes("*")) continue
    const shown = resource.replaceAll("${", "<").replaceAll("}", ">")
    Validations.of(policy).acknowledge({ id: `AwsSolutions-IAM5[Resource::${shown}]`, reason })
  }
}

function whereItIs(): object {
  const parameter = (name: string): object => ({
    "Fn::Sub": `arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter\${${BASE}}/${name}`,
  })
  return {
    Sid: "WhereItIs",
    Effect: "Allow",
    Action: ["ssm:GetParameter"],
    Resource: [parameter("s3_bucket"), parameter("s3_path")],
  }
}

/** The parameters of a source that keeps its keys there. It notes what it saw of the archive, and changes no key. */
function ownIdentity(source: string): object[] {
  const own = (name: string): object => ({
    "Fn::Sub": `arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter\${${IDENTITIES}}/\${${source}}/${name}`,
  })
  return [
    { Sid: "OwnIdentity", Effect: "Allow", Action: ["ssm:GetParameter"], Resource: [own("*")] },
    { Sid: "WhatItSaw", Effect: "Allow", Action: ["ssm:PutParameter"], Resource: [own("trust")] },
  ]
}

/** What S3 asks of a caller whose objects it seals with a KMS key; the key's own policy must allow it too. */
export function keyRights(scope: Construct, id: string, given: CfnCondition, roles: readonly CfnRole[]): void {
  const policy = new CfnManagedPolicy(scope, id, {
    description: "The use of the KMS key of the bucket of an archive of backup-cloud",
    path: "/backup-cloud/",
    policyDocument: {
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "Key",
          Effect: "Allow",
          Action: ["kms:Decrypt", "kms:GenerateDataKey"],
          Resource: [{ Ref: KMS_KEY }],
        },
      ],
    },
    roles: roles.map(({ ref }) => ref),
  })
  policy.cfnOptions.condition = given
}

type Marks = readonly (readonly [string, string])[]

function textInTemplate(text: string, marks: Marks): string {
  return marks.reduce((before, [mark, name]) => before.replaceAll(mark, name), text)
}

/** A copy with every string that holds a mark made into an `Fn::Sub`. */
function inTemplate(value: unknown, marks: Marks): unknown {
  if (Array.isArray(value)) return value.map((each) => inTemplate(each, marks))
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, inTemplate(each, marks)]))
  if (typeof value !== "string") return value
  const text = textInTemplate(value, marks)
  return text === value ? value : { "Fn::Sub": text }
}
