// The objects below a prefix of a bucket as a source. All are listed first and brought into catalogue order; then each is
// yielded, and opened only if it is new or changed. Folders, which S3 does not have, are those that keys imply.
//
// Not promised: a picture of one moment. Listing takes time, and an object may be overwritten or gone when it is read:
// then it is reported and the others are kept. Tags that change without the object are not noticed.

import { BackupError, type Source, type SourceEntry, timeField } from "@backup-cloud/format"
import { listedAttributes } from "./attributes.ts"
import { checkPlace, openBucket, type S3Place } from "./bucket.ts"
import { listObjects, listVersions } from "./list.ts"
import { Reader } from "./read.ts"
import { checkShard, type Shard } from "./shards.ts"
import { type Listed, type Row, Table } from "./table.ts"

export interface S3SourceOptions extends S3Place {
  /** Also older versions, below `.s3-versions/`. It takes the rights to list and read versions. */
  readonly versions?: boolean
  /** Tags too, a request for each object that is read; true unless given. Where it is false, they are not kept. */
  readonly tags?: boolean
  /** Only these keys, so that several sources share a prefix; all unless given. */
  readonly shard?: Shard
  /** Objects at most, for the sake of memory: about 45 bytes each besides the key. 2,000,000 unless given. */
  readonly mostObjects?: number
}

const MOST_OBJECTS = 2_000_000
const BATCH = 1000
const EVERYTHING: Shard = {}

/**
 * Throws `usage` for options that cannot be meant. `entries` throws `not-found` if there is no such bucket, `refused` if it
 * may not be listed or has more objects than one source takes, `unavailable`. Of an object that cannot be read the word is
 * `ENOENT` (gone since it was listed), `changed`, `EACCES`, `GLACIER` (in an archive class and not restored), `KMS` (its
 * key cannot be used) or `SSE-C` (it has a key of the customer's own).
 */
export function s3Source(options: S3SourceOptions): Source {
  const { shard = EVERYTHING, versions = false } = options
  checkPlace(options)
  checkShard(shard)
  return {
    kind: "s3",
    identity: versions ? ["s3.etag", "s3.version"] : ["s3.etag"],
    async *entries(signal) {
      const bucket = await openBucket(options)
      const reader = new Reader(bucket, { versions, tags: options.tags ?? true })
      const listed = versions ? listVersions(bucket, shard, signal) : listObjects(bucket, shard, signal)
      const table = await tableOf(listed, bucket.url, options.mostObjects ?? MOST_OBJECTS)
      yield* inBatches(entriesOf(table, reader), signal)
    },
  }
}

/** Everything that is listed, sorted. @param url for messages */
export async function tableOf(pages: AsyncIterable<readonly Listed[]>, url: string, most: number): Promise<Table> {
  const table = new Table(most, () => {
    const message = `${url}: there are more than ${most} objects, which is more than one source takes; nothing was read`
    return new BackupError("refused", message, {
      hint: "divide them among several sources, each with a shard of the keys: see docs/sources/s3.md",
    })
  })
  for await (const page of pages) for (const listed of page) table.add(listed)
  table.sort()
  return table
}

/** Rows and the folders they lie in, in catalogue order. */
export function* entriesOf(rows: Iterable<Row>, reader: Pick<Reader, "open">): Generator<SourceEntry, void, undefined> {
  yield folder(".")
  let before = ""
  for (const row of rows) {
    for (let slash = row.path.indexOf("/"); slash >= 0; slash = row.path.indexOf("/", slash + 1))
      if (!before.startsWith(row.path.slice(0, slash + 1))) yield folder(row.path.slice(0, slash))
    before = row.path
    yield {
      type: "f",
      path: row.path,
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: timeField(BigInt(row.modified) * 1_000_000n),
      size: row.size,
      link: null,
      attributes: listedAttributes(row),
      content: { kind: "stream", open: (signal) => reader.open(row, signal) },
    }
  }
}

function folder(path: string): SourceEntry {
  const owner = { mode: 0o755, uid: 0, gid: 0 }
  return { type: "d", path, ...owner, mtime: "0.000000000", size: 0, link: null, attributes: new Map(), content: null }
}

async function* inBatches(entries: Iterable<SourceEntry>, signal: AbortSignal): AsyncGenerator<SourceEntry[]> {
  let batch: SourceEntry[] = []
  for (const entry of entries) {
    batch.push(entry)
    if (batch.length < BATCH) continue
    signal.throwIfAborted()
    yield batch
    batch = []
  }
  yield batch
}
