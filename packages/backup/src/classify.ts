// What to do with each entry of the source: keep what the last run has of it, read it, or just record it. Two sorted
// sequences are walked side by side, so memory does not grow with the tree.

import { type CatalogueEntry, pathKey, type SourceEntry, type StreamContent } from "@backup-cloud/format"
import type { FileToRead } from "./messages.ts"

export interface Item {
  readonly entry: SourceEntry
  /** The entry as the last run has it, if it is unchanged and its chunks may be used. */
  readonly kept: CatalogueEntry | null
  /** Position in the job's list of files to read; -1 if it is not read. */
  readonly file: number
}

/** Items in order, and what among them is to be read: files by one worker, or streams. */
export interface Job {
  readonly items: readonly Item[]
  readonly files: readonly FileToRead[]
  /** Empty if there are files. */
  readonly streams: readonly StreamContent[]
}

const MOST_ITEMS = 512
/** Bytes to read at which a job is closed. */
const MOST_BYTES = 4_194_304

/** A sorted sequence that can be asked for one path after the other. */
export class Listing {
  readonly #entries: AsyncGenerator<CatalogueEntry, void>
  #next: { key: string; entry: CatalogueEntry } | null = null
  #ended = false

  constructor(entries: AsyncGenerator<CatalogueEntry, void>) {
    this.#entries = entries
  }

  /** The entry of this path; `key`s must come in ascending order. */
  async find(key: string): Promise<CatalogueEntry | null> {
    while (!this.#ended && (this.#next === null || this.#next.key < key)) {
      const result = await this.#entries.next()
      this.#ended = result.done === true
      this.#next = result.done === true ? null : { key: pathKey(result.value.path), entry: result.value }
    }
    return this.#next?.key === key ? this.#next.entry : null
  }

  async close(): Promise<void> {
    await this.#entries.return()
  }
}

/** Whether a file has not changed since `before`: known size, time and identity are the same, and it was whole then. */
function isUnchanged(entry: SourceEntry, before: CatalogueEntry, identity: readonly string[]): boolean {
  const { attributes } = entry
  return (
    before.type === "f" &&
    before.sha256 !== null &&
    (entry.size === null || before.size === entry.size) &&
    before.mtime === entry.mtime &&
    identity.some((name) => attributes.has(name)) &&
    identity.every((name) => before.attributes.get(name) === attributes.get(name)) &&
    !before.attributes.has("error") &&
    !attributes.has("error") &&
    // What a stream lacked is found out only by opening it again.
    !(entry.content?.kind === "stream" && before.attributes.has("lacks"))
  )
}

/**
 * Joins entries and listings into jobs.
 * @param listings of earlier runs, the one that counts more first
 * @param usable whether all chunks of an entry may be used where they lie
 * @param identity of the source
 */
export async function* classify(
  batches: AsyncIterable<readonly SourceEntry[]>,
  listings: readonly Listing[],
  usable: (entry: CatalogueEntry) => boolean,
  identity: readonly string[],
): AsyncGenerator<Job, void, undefined> {
  let items: Item[] = []
  let files: FileToRead[] = []
  let streams: StreamContent[] = []
  let bytes = 0
  const take = (): Job => {
    const job = { items, files, streams }
    items = []
    files = []
    streams = []
    bytes = 0
    return job
  }
  for await (const batch of batches) {
    // What was listed is read now: a job is as soon as there is another.
    if (batch.length === 0) {
      if (items.length > 0) yield take()
      yield take()
    }
    for (const entry of batch) {
      const kept = entry.type === "f" && listings.length > 0 ? await findKept(entry, listings, usable, identity) : null
      const content = kept === null ? entry.content : null
      const size = entry.size ?? 0
      // A large file gets a job of its own, so that nothing small waits in the same worker behind it.
      if (content !== null && size > MOST_BYTES && items.length > 0) yield take()
      if ((content?.kind === "file" && streams.length > 0) || (content?.kind === "stream" && files.length > 0))
        yield take()
      items.push({ entry, kept, file: content === null ? -1 : files.length + streams.length })
      if (content?.kind === "file") files.push({ file: content.file, size })
      if (content?.kind === "stream") streams.push(content)
      if (content !== null) bytes += size
      // Streams share what opens them ahead, so a job has as many as it can.
      const enough = streams.length === 0 && bytes >= MOST_BYTES
      if (items.length >= MOST_ITEMS || enough) yield take()
    }
  }
  if (items.length > 0) yield take()
}

async function findKept(
  entry: SourceEntry,
  listings: readonly Listing[],
  usable: (entry: CatalogueEntry) => boolean,
  identity: readonly string[],
): Promise<CatalogueEntry | null> {
  const key = pathKey(entry.path)
  for (const listing of listings) {
    const before = await listing.find(key)
    if (before !== null && isUnchanged(entry, before, identity) && usable(before)) return before
  }
  return null
}
