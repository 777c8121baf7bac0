// Versions of an object in a bucket, and removing all of them. An overwrite or delete marker by a thief hides the bytes
// that were signed, and does not remove them: whoever reads may choose the version.

import type * as Sdk from "@aws-sdk/client-s3"
import { BackupError, timeText } from "@backup-cloud/format"
import { answerOf, awsFault } from "./aws-faults.ts"
import { KeptError } from "./kept.ts"
import type { ObjectVersion } from "./ports.ts"
import type { Bucket } from "./s3-client.ts"

/** All versions of exactly `name`, newest first, delete markers among them. */
export async function versionsOf(bucket: Bucket, name: string, signal: AbortSignal): Promise<readonly ObjectVersion[]> {
  const key = bucket.key(name)
  const found: { latest: boolean; version: ObjectVersion }[] = []
  const add = (item: Sdk.ObjectVersion | Sdk.DeleteMarkerEntry, deleted: boolean): void => {
    if (item.Key !== key) return
    const size = "Size" in item ? (item.Size ?? 0) : 0
    const version = { name, size, arrived: item.LastModified ?? new Date(0), version: item.VersionId ?? "", deleted }
    found.push({ latest: item.IsLatest === true, version })
  }
  let next: { KeyMarker: string; VersionIdMarker?: string } | null = { KeyMarker: "" }
  while (next !== null) {
    const page: Sdk.ListObjectVersionsCommandOutput = await bucket.client
      .send(
        new bucket.sdk.ListObjectVersionsCommand({
          Bucket: bucket.bucket,
          Prefix: key,
          ...(next.KeyMarker === "" ? {} : next),
        }),
        { abortSignal: signal },
      )
      .catch((error: unknown) => {
        throw awsFault(name, error, signal)
      })
    for (const item of page.Versions ?? []) add(item, false)
    for (const item of page.DeleteMarkers ?? []) add(item, true)
    // Keys that only begin with this one come after it, so the first of them ends the search.
    const more = page.IsTruncated === true && page.NextKeyMarker === key
    next = more
      ? {
          KeyMarker: key,
          ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
        }
      : null
  }
  // S3 lists both kinds newest first, but apart; the times of one second are alike, and only the newest is marked.
  found.sort((a, b) => Number(b.latest) - Number(a.latest) || b.version.arrived.getTime() - a.version.arrived.getTime())
  return found.map((each) => each.version)
}

/**
 * Deletes every version, oldest first, so that at no moment an older one stands in place of the newest. Throws a
 * `KeptError` if the bucket's lock keeps any, after all others are gone.
 */
export async function removeVersions(bucket: Bucket, name: string, signal: AbortSignal): Promise<void> {
  let kept: unknown
  let until: Date | null = null
  let count = 0
  for (const { version } of (await removable(bucket, name, signal)).toReversed()) {
    signal.throwIfAborted()
    const input = { Bucket: bucket.bucket, Key: bucket.key(name), ...(version === "" ? {} : { VersionId: version }) }
    try {
      await bucket.client.send(new bucket.sdk.DeleteObjectCommand(input), { abortSignal: signal })
    } catch (error) {
      const { status } = answerOf(error)
      if (status === 404) continue
      if (status !== 403) throw awsFault(name, error, signal)
      kept = error
      count++
      const ends = await retentionEnds(bucket, input, signal)
      if (ends !== null && (until === null || ends > until)) until = ends
    }
  }
  if (count > 0) {
    const why = until === null ? "by its lock or for want of a right" : `by its lock until ${timeText(until)}`
    throw new KeptError(`${name}: the bucket keeps ${count} of its versions, ${why}`, until, {
      cause: kept,
      hint: "wait until the retention ends, or use credentials that may delete versions",
    })
  }
}

/** When the lock lets a version go; `null` where there is none, or nobody says. */
async function retentionEnds(
  bucket: Bucket,
  version: { readonly Bucket: string; readonly Key: string; readonly VersionId?: string },
  signal: AbortSignal,
): Promise<Date | null> {
  try {
    const command = new bucket.sdk.HeadObjectCommand(version)
    return (await bucket.client.send(command, { abortSignal: signal })).ObjectLockRetainUntilDate ?? null
  } catch {
    signal.throwIfAborted()
    return null
  }
}

async function removable(bucket: Bucket, name: string, signal: AbortSignal): Promise<readonly { version: string }[]> {
  try {
    return await versionsOf(bucket, name, signal)
  } catch (error) {
    // A server that knows no versions has one of each object.
    if (error instanceof BackupError && answerOf(error.cause).status === 501) return [{ version: "" }]
    throw error
  }
}
