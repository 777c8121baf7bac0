// What of a CloudFormation stack may hold data: its resources, and those of the stacks within it, by the ids that the service
// gave them.

import { BackupError, escapeControl } from "@backup-cloud/format"
import type { AwsAccess } from "./inventory.ts"
import type { Kind, Resource } from "./resource.ts"

const TYPES: Readonly<Record<string, Kind>> = {
  "AWS::S3::Bucket": "s3-bucket",
  "AWS::SSM::Parameter": "ssm-parameters",
  "AWS::RDS::DBInstance": "rds-instance",
  "AWS::RDS::DBCluster": "rds-cluster",
  "AWS::DynamoDB::Table": "dynamodb-table",
  "AWS::DynamoDB::GlobalTable": "dynamodb-table",
  "AWS::EC2::Volume": "ebs-volume",
  "AWS::EFS::FileSystem": "efs-file-system",
  "AWS::SecretsManager::Secret": "secret",
}
const STACK = "AWS::CloudFormation::Stack"

/** Of a stack: kind and the id that the service gave it. */
export interface StackResource {
  readonly kind: Kind
  readonly id: string
}

/** @param name of the stack, or its ARN. Throws `not-found` if there is none, `refused` or `unavailable`. */
export async function stackResources(access: AwsAccess, name: string, signal: AbortSignal): Promise<StackResource[]> {
  const { CloudFormationClient, paginateListStackResources } = await import("@aws-sdk/client-cloudformation")
  const client = new CloudFormationClient(access)
  const found: StackResource[] = []
  const stacks = [name]
  try {
    for (let stack = stacks.shift(); stack !== undefined; stack = stacks.shift()) {
      const pages = paginateListStackResources({ client }, { StackName: stack }, { abortSignal: signal })
      for await (const page of pages)
        for (const { ResourceType: type = "", PhysicalResourceId: id } of page.StackResourceSummaries ?? []) {
          const kind = TYPES[type]
          if (id === undefined) continue
          if (type === STACK) stacks.push(id)
          else if (kind !== undefined) found.push({ kind, id })
        }
    }
  } catch (cause) {
    signal.throwIfAborted()
    const word = cause instanceof Error ? cause.name : "unknown"
    const fault = word === "ValidationError" ? "not-found" : word.startsWith("AccessDenied") ? "refused" : "unavailable"
    throw new BackupError(fault, `the stack ${escapeControl(name)} cannot be listed: ${word}`, {
      cause,
      hint: "name a stack of this region: aws cloudformation list-stacks",
    })
  }
  return found
}

/** Those of `resources` that a stack made. */
export function ofStack(resources: readonly Resource[], made: readonly StackResource[]): Resource[] {
  return resources.filter((resource) =>
    made.some(
      ({ kind, id }) =>
        kind === resource.kind &&
        (id === resource.arn || id === resource.name || (kind === "ssm-parameters" && resource.parts.includes(id))),
    ),
  )
}
