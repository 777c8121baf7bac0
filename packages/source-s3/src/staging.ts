// Content on its way into a bucket, in parts of a fixed size: a part is in memory until it is full, then an object of its
// own in the staging folder, from which S3 puts the whole together without it passing here again. So content may come in
// any order, can be read back before it has its name, and what is never whole is never seen.
//
// Memory: HELD bytes of parts. Of what is half full beyond that, the least used goes into the folder, too, and comes back.

import { hash } from "node:crypto"
import { BackupError, type CatalogueEntry } from "@backup-cloud/format"
import type { Bucket } from "./bucket.ts"
import { placeFault } from "./faults.ts"
import { putObject, removeObject } from "./objects.ts"

const MiB = 1_048_576
const PART = 16 * MiB
/** What S3 puts together at most. */
const MOST_PARTS = 10_000
const HELD = 4 * PART

export interface Part {
  /** In the staging folder, once it has been put there. */
  readonly key: string
  readonly length: number
  filled: number
  stored: boolean
  bytes: Buffer | null
}

interface StagedFile {
  readonly partSize: number
  readonly parts: Part[]
}

export class Staging {
  readonly #bucket: Bucket
  readonly #folder: string
  readonly #headers: object
  readonly #files = new Map<string, StagedFile>()
  /** Parts with bytes, the least used first. */
  readonly #held = new Set<Part>()
  #bytes = 0
  #count = 0

  /**
   * @param folder key of the staging folder, with a slash at its end
   * @param headers of every object put there
   */
  constructor(bucket: Bucket, folder: string, headers: object) {
    this.#bucket = bucket
    this.#folder = folder
    this.#headers = headers
  }

  holds(path: string): boolean {
    return this.#files.has(path)
  }

  /** Of content that has been written whole. */
  parts(path: string): readonly Part[] {
    return this.#files.get(path)?.parts ?? []
  }

  /** One call at a time. */
  async write(entry: CatalogueEntry, offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const file = this.#file(entry)
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done
      const part = file.parts[Math.floor(at / file.partSize)]
      if (part === undefined) throw new RangeError("content beyond the end")
      const piece = bytes.subarray(done, done + part.length - (at % file.partSize))
      const memory = await this.load(part, signal)
      memory.set(piece, at % file.partSize)
      part.filled += piece.length
      done += piece.length
      if (part.filled === part.length && file.parts.length > 1) await this.#store(part, signal)
    }
    for (const part of this.#held) {
      if (this.#bytes <= HELD) break
      await this.#store(part, signal)
    }
  }

  #file({ path, size }: CatalogueEntry): StagedFile {
    const known = this.#files.get(path)
    if (known !== undefined) return known
    const partSize = Math.max(PART, Math.ceil(size / MOST_PARTS / MiB) * MiB)
    const parts = Array.from({ length: Math.ceil(size / partSize) }, (_, i): Part => {
      const length = Math.min(partSize, size - i * partSize)
      return { key: `${this.#folder}${++this.#count}`, length, filled: 0, stored: false, bytes: null }
    })
    const file = { partSize, parts }
    this.#files.set(path, file)
    return file
  }

  /** The part's bytes in memory, fetched if they are not there. */
  async load(part: Part, signal: AbortSignal): Promise<Buffer> {
    if (part.bytes === null) {
      part.bytes = part.stored ? await this.fetch(part, signal) : Buffer.alloc(part.length)
      this.#bytes += part.length
    }
    this.#held.delete(part)
    this.#held.add(part)
    return part.bytes
  }

  /** The part's bytes, in memory of their own if it has been put into the folder. */
  async fetch(part: Part, signal: AbortSignal): Promise<Buffer> {
    if (part.bytes !== null) return part.bytes
    const { sdk, client, name } = this.#bucket
    try {
      const command = new sdk.GetObjectCommand({ Bucket: name, Key: part.key })
      const { Body } = await client.send(command, { abortSignal: signal })
      const bytes = Buffer.from((await Body?.transformToByteArray()) ?? [])
      if (bytes.length !== part.length)
        throw new BackupError("unavailable", `${part.key}: the body ended at byte ${bytes.length}; not restored`)
      return bytes
    } catch (error) {
      throw placeFault(part.key, error, signal)
    }
  }

  async #store(part: Part, signal: AbortSignal): Promise<void> {
    if (part.bytes === null) return
    try {
      await putObject(this.#bucket, part.key, part.bytes, hash("sha256", part.bytes), this.#headers, signal)
    } catch (error) {
      throw placeFault(part.key, error, signal)
    }
    part.stored = true
    this.#drop(part)
  }

  #drop(part: Part): void {
    if (this.#held.delete(part)) this.#bytes -= part.length
    part.bytes = null
  }

  /** Forgets the content, also in the folder. */
  async release(path: string, signal: AbortSignal): Promise<void> {
    for (const part of this.parts(path)) {
      this.#drop(part)
      if (!part.stored) continue
      await removeObject(this.#bucket, part.key, signal).catch((error: unknown) => {
        throw placeFault(part.key, error, signal)
      })
    }
    this.#files.delete(path)
  }
}
