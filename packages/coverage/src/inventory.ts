// Lists what an account has in one region (buckets: in all), a kind at a time. Each client is loaded when its kind is listed.
//
// Not promised: other kinds of storage. What is here is what the sources of this project, or commands, are used for.

import { BackupError } from "@backup-cloud/format"
import { KINDS, type Kind, type Resource, type Unlisted } from "./resource.ts"

interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** What clients of the SDK take; what is not given comes from the machine's AWS configuration or role. */
export interface AwsAccess {
  readonly region?: string
  /** Of a server other than AWS. */
  readonly endpoint?: string
  readonly credentials?: Credentials
}

export interface Inventory {
  readonly resources: readonly Resource[]
  readonly unlisted: readonly Unlisted[]
}

type Lister = (access: AwsAccess, signal: AbortSignal) => AsyncIterable<Omit<Resource, "kind">>

/**
 * @param kinds all unless given
 * Throws `unavailable` if no service answers; a kind whose listing is refused is among the unlisted.
 */
export async function inventory(
  access: AwsAccess,
  signal: AbortSignal,
  kinds: readonly Kind[] = KINDS,
): Promise<Inventory> {
  const resources: Resource[] = []
  const unlisted: Unlisted[] = []
  const failures: unknown[] = []
  for (const kind of kinds) {
    try {
      for await (const each of listers[kind](access, signal)) resources.push({ kind, ...each })
    } catch (error) {
      signal.throwIfAborted()
      failures.push(error)
      unlisted.push({ kind, why: wordOf(error) })
    }
  }
  if (unlisted.length === kinds.length)
    throw new BackupError("unavailable", `the account could not be looked at: ${unlisted[0]?.why ?? ""}`, {
      cause: failures[0],
      hint: "see that region and credentials are set, as for the command aws",
    })
  return { resources, unlisted }
}

/** The word by which a service says why; its messages repeat names and values. */
function wordOf(error: unknown): string {
  return error instanceof Error ? error.name : "unknown"
}

const listers: Readonly<Record<Kind, Lister>> = {
  async *"s3-bucket"(access, signal) {
    const { S3Client, paginateListBuckets } = await import("@aws-sdk/client-s3")
    const client = new S3Client({ ...access, forcePathStyle: access.endpoint !== undefined })
    for await (const page of paginateListBuckets({ client }, {}, { abortSignal: signal }))
      for (const { Name: name = "" } of page.Buckets ?? []) yield { arn: `arn:aws:s3:::${name}`, name, parts: [] }
  },
  async *"ssm-parameters"(access, signal) {
    const { SSMClient, paginateDescribeParameters } = await import("@aws-sdk/client-ssm")
    const groups = new Map<string, { arn: string; names: string[] }>()
    const client = new SSMClient(access)
    const region = await client.config.region()
    for await (const page of paginateDescribeParameters({ client }, {}, { abortSignal: signal })) {
      for (const { Name: name = "", ARN: told } of page.Parameters ?? []) {
        const top = /^\/[^/]+(?=\/)/.exec(name)?.[0] ?? name
        const arn = told ?? `arn:aws:ssm:${region}::parameter${name.startsWith("/") ? "" : "/"}${name}`
        const group = groups.get(top) ?? { arn: arn.slice(0, arn.length - name.length) + top, names: [] }
        group.names.push(name)
        groups.set(top, group)
      }
    }
    for (const [name, { arn, names }] of groups) yield { arn, name, parts: names }
  },
  async *"rds-instance"(access, signal) {
    const { RDSClient, paginateDescribeDBInstances } = await import("@aws-sdk/client-rds")
    const pages = paginateDescribeDBInstances({ client: new RDSClient(access) }, {}, { abortSignal: signal })
    for await (const page of pages)
      for (const one of page.DBInstances ?? []) {
        // Of a cluster, all instances hold the same.
        if (one.DBClusterIdentifier !== undefined) continue
        yield named(one.DBInstanceArn, one.DBInstanceIdentifier, one.Endpoint?.Address)
      }
  },
  async *"rds-cluster"(access, signal) {
    const { RDSClient, paginateDescribeDBClusters } = await import("@aws-sdk/client-rds")
    const pages = paginateDescribeDBClusters({ client: new RDSClient(access) }, {}, { abortSignal: signal })
    for await (const page of pages)
      for (const one of page.DBClusters ?? [])
        yield named(one.DBClusterArn, one.DBClusterIdentifier, one.Endpoint, one.ReaderEndpoint)
  },
  async *"dynamodb-table"(access, signal) {
    const { DynamoDBClient, DescribeTableCommand, paginateListTables } = await import("@aws-sdk/client-dynamodb")
    const client = new DynamoDBClient(access)
    for await (const page of paginateListTables({ client }, {}, { abortSignal: signal }))
      for (const name of page.TableNames ?? []) {
        const { Table: table } = await client.send(new DescribeTableCommand({ TableName: name }), {
          abortSignal: signal,
        })
        yield named(table?.TableArn, name)
      }
  },
  async *"ebs-volume"(access, signal) {
    const { EC2Client, paginateDescribeVolumes } = await import("@aws-sdk/client-ec2")
    const client = new EC2Client(access)
    const region = await client.config.region()
    // Not every answer tells the account, and no name needs it.
    for await (const page of paginateDescribeVolumes({ client }, {}, { abortSignal: signal }))
      for (const { VolumeId: id = "", VolumeArn: arn } of page.Volumes ?? [])
        yield named(arn ?? `arn:aws:ec2:${region}::volume/${id}`, id)
  },
  async *"efs-file-system"(access, signal) {
    const { EFSClient, paginateDescribeFileSystems } = await import("@aws-sdk/client-efs")
    const pages = paginateDescribeFileSystems({ client: new EFSClient(access) }, {}, { abortSignal: signal })
    for await (const page of pages)
      for (const one of page.FileSystems ?? []) yield named(one.FileSystemArn, one.FileSystemId)
  },
  async *secret(access, signal) {
    const { SecretsManagerClient, paginateListSecrets } = await import("@aws-sdk/client-secrets-manager")
    const client = new SecretsManagerClient(access)
    for await (const page of paginateListSecrets({ client }, {}, { abortSignal: signal }))
      for (const one of page.SecretList ?? []) yield named(one.ARN, one.Name)
  },
}

function named(arn = "", name = "", ...parts: readonly (string | undefined)[]): Omit<Resource, "kind"> {
  return { arn, name, parts: parts.filter((part) => part !== undefined) }
}
