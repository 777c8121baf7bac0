// Reading objects: small ones whole and ahead of their turn while there is room, others by parallel ranges when it is
// their turn. Every request names the ETag that was listed, so that all bytes and attributes are of one object, and one
// that was overwritten meanwhile is reported as changed. A body that breaks off is asked for again.
//
// Memory: AHEAD bytes of small objects, and the ranges of the objects that are being read, of which RANGES_AHEAD bytes are
// shared by all.

import type { GetObjectCommandOutput, HeadObjectCommandOutput } from "@aws-sdk/client-s3"
import { BackupError, EntryError, inOrder, type OpenedContent } from "@backup-cloud/format"
import { openedAttributes, tagsAttribute } from "./attributes.ts"
import { type Bucket, fullKey } from "./bucket.ts"
import { answerOf, objectFault } from "./faults.ts"
import type { Listed } from "./table.ts"

const RANGE = 8_388_608
/** Ranges of one object at the same time. */
const WIDTH = 4
const AHEAD = 4 * RANGE
const RANGES_AHEAD = WIDTH * RANGE
/** Times that a body is asked for. */
const TRIES = 4

export interface ReadWhat {
  /** By version, which takes another right. */
  readonly versions: boolean
  readonly tags: boolean
}

interface Range {
  readonly start: number
  /** Behind the last byte. */
  readonly end: number
}

/** Memory that may be used at the same time. Nothing waits for it: who gets none does without. */
class Room {
  #free: number

  constructor(bytes: number) {
    this.#free = bytes
  }

  take(bytes: number): boolean {
    if (bytes > this.#free) return false
    this.#free -= bytes
    return true
  }

  give(bytes: number): void {
    this.#free += bytes
  }
}

export class Reader {
  readonly #bucket: Bucket
  readonly #what: ReadWhat
  readonly #small = new Room(AHEAD)
  readonly #ranges = new Room(RANGES_AHEAD)

  constructor(bucket: Bucket, what: ReadWhat) {
    this.#bucket = bucket
    this.#what = what
  }

  /**
   * See `StreamContent.open`. An object that was overwritten since it was listed is read as it is now; the next run sees
   * that its time is another one, and reads it once more.
   */
  async open(object: Listed, signal: AbortSignal): Promise<OpenedContent> {
    try {
      return await this.#open(object, signal)
    } catch (error) {
      if (!(error instanceof EntryError && error.word === "changed")) throw error
      const now = await this.#now(object, signal)
      const { attributes, bytes } = await this.#open(now, signal)
      const overwritten = [
        ["s3.etag", now.etag],
        ["s3.storage-class", now.storageClass],
      ] as const
      return { attributes: new Map([...attributes, ...overwritten]), bytes }
    }
  }

  async #open(object: Listed, signal: AbortSignal): Promise<OpenedContent> {
    const small = object.size <= RANGE && this.#small.take(object.size)
    try {
      const content = small ? this.#whole(object, signal) : this.#head(object, signal)
      const [{ head, bytes }, tags] = await Promise.all([content, this.#tags(object, signal)])
      const attributes = new Map([...openedAttributes(head), ...tags])
      return { attributes, bytes: bytes === null ? this.#inRanges(object, signal) : this.#once(bytes) }
    } catch (error) {
      if (small) this.#small.give(object.size)
      throw error
    }
  }

  /** What a list would tell of it now. */
  async #now(object: Listed, signal: AbortSignal): Promise<Listed> {
    const { sdk, client } = this.#bucket
    const input = this.#input({ ...object, etag: "" })
    const head = await client
      .send(new sdk.HeadObjectCommand(input), { abortSignal: signal })
      .catch((error: unknown) => {
        throw objectFault(this.#name(object), error, signal)
      })
    const { ETag: etag = "", ContentLength: size = 0, StorageClass: storageClass = "STANDARD" } = head
    return { ...object, etag: etag.replaceAll('"', ""), size, storageClass }
  }

  async *#once(bytes: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      if (bytes.length > 0) yield bytes
    } finally {
      this.#small.give(bytes.length)
    }
  }

  async *#inRanges(object: Listed, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    let width = 1
    while (width < WIDTH && this.#ranges.take(RANGE)) width++
    try {
      const get = async (range: Range, inner: AbortSignal): Promise<Buffer> =>
        (await this.#get(object, range, inner)).bytes
      yield* inOrder(rangesOf(object.size), width, signal, get)
    } finally {
      this.#ranges.give((width - 1) * RANGE)
    }
  }

  async #whole(object: Listed, signal: AbortSignal): Promise<{ head: GetObjectCommandOutput; bytes: Buffer }> {
    return await this.#get(object, null, signal)
  }

  /** Headers without content. An answer to HEAD has no body that says what is wrong; that to GET has. */
  async #head(object: Listed, signal: AbortSignal): Promise<{ head: HeadObjectCommandOutput; bytes: null }> {
    const { sdk, client } = this.#bucket
    let head: HeadObjectCommandOutput
    try {
      const command = new sdk.HeadObjectCommand({ ...this.#input(object), ChecksumMode: "ENABLED" })
      head = await client.send(command, { abortSignal: signal })
    } catch (error) {
      if (object.size > 0) await this.#get(object, { start: 0, end: 1 }, signal)
      throw objectFault(this.#name(object), error, signal)
    }
    this.#check(object, head, object.size)
    return { head, bytes: null }
  }

  async #get(
    object: Listed,
    range: Range | null,
    signal: AbortSignal,
  ): Promise<{ head: GetObjectCommandOutput; bytes: Buffer }> {
    const { sdk, client } = this.#bucket
    const length = range === null ? object.size : range.end - range.start
    // A checksum is of the whole object, and is checked when all of it comes.
    const part =
      range === null ? { ChecksumMode: "ENABLED" as const } : { Range: `bytes=${range.start}-${range.end - 1}` }
    for (let tries = 1; ; tries++) {
      const command = new sdk.GetObjectCommand({ ...this.#input(object), ...part })
      const head = await client.send(command, { abortSignal: signal }).catch((error: unknown) => {
        throw objectFault(this.#name(object), error, signal)
      })
      this.#check(object, head, length)
      try {
        return { head, bytes: await collect(head, length) }
      } catch (error) {
        signal.throwIfAborted()
        if (tries < TRIES) continue
        throw new BackupError("unavailable", `${this.#name(object)}: its content broke off ${TRIES} times`, {
          cause: error,
        })
      }
    }
  }

  #input({ key, etag, version }: Listed) {
    const { name } = this.#bucket
    return {
      Bucket: name,
      Key: fullKey(this.#bucket, key),
      ...(etag === "" ? {} : { IfMatch: `"${etag}"` }),
      ...(this.#what.versions && version !== "" ? { VersionId: version } : {}),
    }
  }

  /** For servers that take no notice of `If-Match`. */
  #check({ etag }: Listed, head: HeadObjectCommandOutput, length: number): void {
    const same = etag === "" || head.ETag === undefined || head.ETag.replaceAll('"', "") === etag
    if (!same || head.ContentLength !== length) throw new EntryError("changed")
  }

  async #tags(object: Listed, signal: AbortSignal): Promise<Map<string, string>> {
    if (!this.#what.tags) return new Map()
    const { sdk, client } = this.#bucket
    try {
      // There is no asking for tags of one ETag.
      const input = this.#input({ ...object, etag: "" })
      const { TagSet = [] } = await client.send(new sdk.GetObjectTaggingCommand(input), { abortSignal: signal })
      return TagSet.length === 0 ? new Map() : new Map([["s3.tags", tagsAttribute(TagSet)]])
    } catch (error) {
      const { code, status } = answerOf(error)
      // A server without tags has none to lose.
      if (status === 501) return new Map()
      if (code === "AccessDenied") return new Map([["lacks", "tags"]])
      throw objectFault(this.#name(object), error, signal)
    }
  }

  #name({ key }: Listed): string {
    return `s3://${this.#bucket.name}/${fullKey(this.#bucket, key)}`
  }
}

function* rangesOf(size: number): Generator<Range, void, undefined> {
  for (let start = 0; start < size; start += RANGE) yield { start, end: Math.min(size, start + RANGE) }
}

/** All of a body, which must have `length` bytes. */
async function collect({ Body }: GetObjectCommandOutput, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let at = 0
  for await (const piece of (Body ?? []) as AsyncIterable<Uint8Array>) {
    if (at + piece.length > length) throw new RangeError("the body is longer than stated")
    bytes.set(piece, at)
    at += piece.length
  }
  if (at < length) throw new RangeError("the body is shorter than stated")
  return bytes
}
