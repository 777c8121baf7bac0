// Lists objects, or all their versions, a page at a time: at most a thousand, which is what one request brings.

import type { ListObjectsV2CommandOutput, ListObjectVersionsCommandOutput } from "@aws-sdk/client-s3"
import { BackupError } from "@backup-cloud/format"
import { type Bucket, fullKey, keyBelow } from "./bucket.ts"
import { placeFault } from "./faults.ts"
import { isBehindShard, isInShard, type Shard, startOfShard } from "./shards.ts"
import type { Listed } from "./table.ts"

interface Item {
  readonly Key?: string | undefined
  readonly Size?: number | undefined
  readonly LastModified?: Date | undefined
  readonly ETag?: string | undefined
  readonly StorageClass?: string | undefined
  readonly VersionId?: string | undefined
  readonly IsLatest?: boolean | undefined
}

/** Current objects. Throws `not-found` for the bucket, `refused` without the right to list, `unavailable`. */
export async function* listObjects(bucket: Bucket, shard: Shard, signal: AbortSignal): AsyncGenerator<Listed[]> {
  const start = bucket.top + startOfShard(shard)
  let token: string | undefined
  do {
    const input = {
      Bucket: bucket.name,
      Prefix: bucket.top,
      EncodingType: "url",
      ...(start === bucket.top ? {} : { StartAfter: start }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    } as const
    const page: ListObjectsV2CommandOutput = await send(bucket, signal, () =>
      bucket.client.send(new bucket.sdk.ListObjectsV2Command(input), { abortSignal: signal }),
    )
    const { found, behind } = take(bucket, shard, page.Contents ?? [], page.EncodingType === "url")
    yield found
    if (behind) return
    token = page.NextContinuationToken
    if (page.IsTruncated === true && token === undefined) cutShort(bucket)
  } while (token !== undefined)
}

/** Current objects and every older version; not delete markers, which have no content. Throws as `listObjects`. */
export async function* listVersions(bucket: Bucket, shard: Shard, signal: AbortSignal): AsyncGenerator<Listed[]> {
  const start = bucket.top + startOfShard(shard)
  let next: { KeyMarker?: string; VersionIdMarker?: string } = start === bucket.top ? {} : { KeyMarker: start }
  for (;;) {
    const page: ListObjectVersionsCommandOutput = await send(bucket, signal, () =>
      bucket.client.send(
        new bucket.sdk.ListObjectVersionsCommand({
          Bucket: bucket.name,
          Prefix: bucket.top,
          EncodingType: "url",
          ...next,
        }),
        { abortSignal: signal },
      ),
    )
    const encoded = page.EncodingType === "url"
    const { found, behind } = take(bucket, shard, page.Versions ?? [], encoded)
    yield found
    if (behind || page.IsTruncated !== true) return
    if (page.NextKeyMarker === undefined) cutShort(bucket)
    next = {
      KeyMarker: fullKey(bucket, keyBelow(bucket, page.NextKeyMarker ?? "", encoded)),
      ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
    }
  }
}

function take(bucket: Bucket, shard: Shard, items: readonly Item[], encoded: boolean) {
  const found: Listed[] = []
  let behind = false
  for (const item of items) {
    const key = keyBelow(bucket, item.Key ?? "", encoded)
    behind ||= isBehindShard(shard, key)
    if (isInShard(shard, key)) found.push(listed(bucket, key, item))
  }
  return { found, behind }
}

function listed(bucket: Bucket, key: string, item: Item): Listed {
  if (item.Size === undefined || item.LastModified === undefined)
    throw new BackupError("unavailable", `${bucket.url}: the server's list lacks sizes or times; nothing was read`)
  return {
    key,
    size: item.Size,
    modified: item.LastModified.getTime(),
    etag: (item.ETag ?? "").replaceAll('"', ""),
    storageClass: item.StorageClass ?? "",
    version: item.VersionId ?? "",
    old: item.IsLatest === false,
  }
}

async function send<T>(bucket: Bucket, signal: AbortSignal, request: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  try {
    return await request()
  } catch (error) {
    throw placeFault(bucket.url, error, signal)
  }
}

function cutShort(bucket: Bucket): never {
  throw new BackupError("unavailable", `${bucket.url}: the server cut its list short; nothing was read`)
}
