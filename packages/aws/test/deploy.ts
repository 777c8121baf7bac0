// Deploys templates onto moto through CloudFormation's own API, takes the roles that came of it, and gives the archive's
// bucket what moto's CloudFormation leaves out, from the template.

import assert from "node:assert/strict"
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { anybody, type Moto } from "../../store/test/moto.ts"
import { resolve, template } from "./resolve.ts"

type Parameters = Readonly<Record<string, string>>

/** One request of a query API. @returns XML */
async function ask({ endpoint }: Moto, service: string, action: string, parameters: Parameters): Promise<string> {
  const authorization = `AWS4-HMAC-SHA256 Credential=anybody/20261123/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`
  const version = service === "sts" ? "2011-06-15" : service === "iam" ? "2010-05-08" : "2010-05-15"
  const body = new URLSearchParams({ Action: action, Version: version, ...parameters })
  const answer = await fetch(`${endpoint}/`, { method: "POST", headers: { authorization }, body })
  const text = await answer.text()
  assert.ok(answer.ok, `${action}: ${text}`)
  return text
}

const field = (xml: string, tag: string): string => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? ""

export interface Deployed {
  readonly outputs: ReadonlyMap<string, string>
  /** Logical to physical id of what moto made. */
  readonly made: ReadonlyMap<string, string>
}

export async function deploy(moto: Moto, stack: string, file: string, parameters: Parameters): Promise<Deployed> {
  const given = Object.entries(parameters).flatMap(([name, value], index) => [
    [`Parameters.member.${index + 1}.ParameterKey`, name],
    [`Parameters.member.${index + 1}.ParameterValue`, value],
  ])
  await ask(moto, "cloudformation", "CreateStack", {
    ...{ StackName: stack, TemplateBody: template(file), "Capabilities.member.1": "CAPABILITY_IAM" },
    ...(Object.fromEntries(given) as Parameters),
  })
  const described = await ask(moto, "cloudformation", "DescribeStacks", { StackName: stack })
  assert.equal(field(described, "StackStatus"), "CREATE_COMPLETE")
  const outputs = described.matchAll(/<OutputKey>([^<]+)<\/OutputKey>\s*<OutputValue>([^<]+)</g)
  const resources = await ask(moto, "cloudformation", "DescribeStackResources", { StackName: stack })
  const members = resources.split("<member>").map((each) => [field(each, "LogicalResourceId"), each] as const)
  const made = members.map(([id, each]) => [id, field(each, "PhysicalResourceId")] as const)
  return {
    outputs: new Map([...outputs].map(([, key = "", value = ""]) => [key, value])),
    made: new Map(made.filter(([id]) => id !== "")),
  }
}

export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
}

export async function takeRole(moto: Moto, arn: string): Promise<Keys> {
  const taken = await ask(moto, "sts", "AssumeRole", { RoleArn: arn, RoleSessionName: "test" })
  return {
    accessKeyId: field(taken, "AccessKeyId"),
    secretAccessKey: field(taken, "SecretAccessKey"),
    sessionToken: field(taken, "SessionToken"),
  }
}

/** The policy that moto made of a managed policy in a template. */
export async function managedPolicy(moto: Moto, arn: string): Promise<unknown> {
  const got = await ask(moto, "iam", "GetPolicyVersion", { PolicyArn: arn, VersionId: "v1" })
  const document = field(got, "Document").replaceAll("&quot;", '"')
  return JSON.parse(document.startsWith("%") ? decodeURIComponent(document) : document)
}

/**
 * What moto's CloudFormation leaves out of a bucket, from the template: it must be made again for a lock. Its policy is
 * judged by the gate, since moto takes each condition of a refusal for one that is met.
 */
export async function completeBucket(moto: Moto, bucket: string, parameters: Parameters): Promise<void> {
  const archive = resolve(template("archive"), parameters, { Archive: bucket })
  const settings = archive["Archive"]?.Properties as {
    readonly ObjectLockEnabled: boolean
    readonly ObjectLockConfiguration: {
      readonly ObjectLockEnabled: "Enabled"
      readonly Rule: { readonly DefaultRetention: { readonly Mode: "COMPLIANCE"; readonly Days: string } }
    }
    readonly VersioningConfiguration: { readonly Status: "Enabled" }
  }
  const { Mode, Days } = settings.ObjectLockConfiguration.Rule.DefaultRetention
  const { endpoint } = moto
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: anybody })
  const Bucket = bucket
  await client.send(new DeleteBucketCommand({ Bucket }))
  await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: settings.ObjectLockEnabled }))
  const lock = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode, Days: Number(Days) } } } as const
  await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration: lock }))
  const VersioningConfiguration = settings.VersioningConfiguration
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  client.destroy()
}
