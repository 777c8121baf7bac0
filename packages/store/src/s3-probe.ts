// Finds out what a bucket and its server can promise, by trying where trying tells, and by asking where it does not. What
// it writes below `probe/` is a few bytes under fixed names, so that where a lock keeps them there is still only one of
// each.

import { createHash } from "node:crypto"
import { isFault } from "@backup-cloud/format"
import { answerOf, awsFault } from "./aws-faults.ts"
import type { Promises } from "./ports.ts"
import type { Bucket } from "./s3-client.ts"
import { createS3 } from "./s3-create.ts"
import { removeVersions } from "./s3-versions.ts"

const CONDITION = "probe/condition"
const CHECKSUM = "probe/checksum"

const digest = (text: string): string => createHash("sha256").update(text).digest("hex")

export async function probeS3(bucket: Bucket, signal: AbortSignal): Promise<Promises> {
  const notices: string[] = []
  const conditionalCreate = await keepsFirst(bucket, signal)
  if (!conditionalCreate)
    notices.push("The server does not refuse to overwrite an object: two writers, or a thief, could.")
  if (!(await checksBodies(bucket, signal))) {
    notices.push("The server does not check the SHA-256 of what it is sent: verify after each backup.")
  }
  const versions = (await asked(bucket, signal, "its versioning", notices, versioning)) ?? false
  if (!versions) notices.push("The bucket keeps no versions: what is deleted or overwritten is gone.")
  const lock = await asked(bucket, signal, "its Object Lock", notices, defaultLock)
  if (lock === null)
    notices.push("The bucket has no default retention by Object Lock: who may delete can delete at once.")
  if (lock?.mode === "GOVERNANCE")
    notices.push("The lock is in GOVERNANCE mode: an administrator of the account can lift it.")
  for (const name of [CONDITION, CHECKSUM]) {
    try {
      await removeVersions(bucket, name, signal)
    } catch (error) {
      // A lock keeps it, or there is no right to remove anything; either is as it should be.
      if (!isFault(error, "refused")) throw error
    }
  }
  return { conditionalCreate, versions, lock, notices }
}

/** Whether the second of two creates is refused. The object may be there from an earlier probe: then the first tells. */
async function keepsFirst(bucket: Bucket, signal: AbortSignal): Promise<boolean> {
  try {
    for (const body of ["first", "second"]) {
      await createS3(bucket, CONDITION, [Buffer.from(body)], digest(body), true, signal)
    }
    return false
  } catch (error) {
    if (isFault(error, "conflict")) return true
    // "Not implemented" is an answer too; any other refusal is none.
    if (isFault(error, "refused") && answerOf(error.cause).status === 501) return false
    throw error
  }
}

async function checksBodies(bucket: Bucket, signal: AbortSignal): Promise<boolean> {
  try {
    await createS3(bucket, CHECKSUM, [Buffer.from("other bytes")], digest("these bytes"), true, signal)
    return false
  } catch (error) {
    if (isFault(error, "tampered")) return true
    if (isFault(error, "conflict") || (isFault(error, "refused") && answerOf(error.cause).status === 501)) return false
    throw error
  }
}

/** The answer to a question about the bucket; `null`, with a notice, where there is no right to ask. */
async function asked<T>(
  bucket: Bucket,
  signal: AbortSignal,
  what: string,
  notices: string[],
  ask: (bucket: Bucket, signal: AbortSignal) => Promise<T>,
): Promise<T | null> {
  try {
    return await ask(bucket, signal)
  } catch (error) {
    const { status } = answerOf(error)
    // 404: no such configuration. 400 and 501: servers that know no such thing.
    if (status === 404 || status === 400 || status === 501) return null
    if (status !== 403) throw awsFault(bucket.bucket, error, signal)
    notices.push(`There is no right to ask the bucket for ${what}.`)
    return null
  }
}

export async function versioning({ sdk, client, bucket }: Bucket, signal: AbortSignal): Promise<boolean> {
  const answer = await client.send(new sdk.GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal: signal })
  return answer.Status === "Enabled"
}

export async function defaultLock({ sdk, client, bucket }: Bucket, signal: AbortSignal): Promise<Promises["lock"]> {
  const answer = await client.send(new sdk.GetObjectLockConfigurationCommand({ Bucket: bucket }), {
    abortSignal: signal,
  })
  const { Mode, Days, Years } = answer.ObjectLockConfiguration?.Rule?.DefaultRetention ?? {}
  if (Mode === undefined) return null
  // S3 gives one of the two (moto also a zero for the other) and counts a year of retention as 365 days.
  return { mode: Mode, days: (Days ?? 0) + (Years ?? 0) * 365 }
}
