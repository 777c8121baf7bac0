// How well objects lie encrypted in a bucket, so that a restore does not quietly put into the open what was not.

import { BackupError, type CatalogueEntry, escapeControl, fromByteString } from "@backup-cloud/format"
import type { Bucket } from "./bucket.ts"
import { answerOf, placeFault } from "./faults.ts"

/** As S3 names it; with `aws:kms` and `aws:kms:dsse` a key may be named, else it is the account's own for S3. */
export interface Encryption {
  readonly kind: "AES256" | "aws:kms" | "aws:kms:dsse"
  readonly key?: string
}

/** From weakest to strongest: with a key of KMS, whoever reads an object needs a right to the key, too. */
const STRENGTH = ["", "AES256", "aws:kms", "aws:kms:dsse"]

/** A kind that is not known counts as the strongest of an original, and as none of a bucket. */
const strength = (kind: string, unknown: number): number => (STRENGTH.includes(kind) ? STRENGTH.indexOf(kind) : unknown)

/** What a bucket does with objects for which nothing is said; `""` for nothing. Throws `refused` without the right to ask. */
export async function defaultEncryption({ sdk, client, name }: Bucket, signal: AbortSignal): Promise<string> {
  try {
    const command = new sdk.GetBucketEncryptionCommand({ Bucket: name })
    const { ServerSideEncryptionConfiguration } = await client.send(command, { abortSignal: signal })
    const [rule] = ServerSideEncryptionConfiguration?.Rules ?? []
    return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm ?? ""
  } catch (error) {
    if (answerOf(error).code === "ServerSideEncryptionConfigurationNotFoundError") return ""
    throw placeFault(`s3://${name}: its default encryption`, error, signal)
  }
}

/** Throws `refused` if an object would lie less well encrypted than its original. @param kind of the target */
export function checkEncryption(entry: CatalogueEntry, kind: string, where: string): void {
  const original = entry.attributes.get("s3.sse") ?? ""
  if (strength(original, STRENGTH.length) <= strength(kind, 0)) return
  const name = escapeControl(fromByteString(entry.path))
  const now = kind === "" ? "nothing" : kind
  throw new BackupError(
    "refused",
    `${name} was encrypted with ${original}, and ${where} gives it ${now}; not restored`,
    {
      hint: "give the bucket a default encryption as strong, name one for this restore, or allow a weaker one",
    },
  )
}
