// The catalogue on its way out: text is cut like content, by its own sizes, and only chunks that no usable catalogue
// volume holds are stored. A checkpoint ends the text early without disturbing where later cuts fall.

import { createHash, createHmac } from "node:crypto"
import { type ChunkRef, compressFrame, memberSize, type Root, writeHeader } from "@backup-cloud/format"
import type { Bundles } from "./bundles.ts"
import { catalogueRule, cutEnd } from "./cut.ts"
import type { Naming } from "./piece.ts"

/** Most bytes of tar in a catalogue volume: it is opened as a whole when the next run reads it. */
export const CATALOGUE_TAR = 33_554_432

export class CatalogueWriter {
  readonly #naming: Naming
  readonly #run: string
  readonly #bundles: Bundles
  readonly #known: Map<string, ChunkRef>
  #buffer = Buffer.allocUnsafe(4 * catalogueRule.most)
  #used = 0
  #bytes = 0
  #hash = createHash("sha256")
  readonly #chunks: ChunkRef[] = []

  /** @param known catalogue chunks of earlier runs that may be used, by id; it is kept and added to */
  constructor(naming: Naming, run: string, bundles: Bundles, known: Map<string, ChunkRef>) {
    this.#naming = naming
    this.#run = run
    this.#bundles = bundles
    this.#known = known
  }

  async write(text: string): Promise<void> {
    const bytes = Buffer.from(text, "latin1")
    this.#hash.update(bytes)
    this.#bytes += bytes.length
    for (let at = 0; at < bytes.length; ) {
      const count = bytes.copy(this.#buffer, this.#used, at)
      this.#used += count
      at += count
      if (this.#used === this.#buffer.length) await this.#cut()
    }
  }

  /** The catalogue as it stands; more may be written afterwards. */
  async snapshot(): Promise<Root["catalogue"]> {
    await this.#cut()
    const chunks = [...this.#chunks]
    if (this.#used > 0) chunks.push(await this.#store(this.#buffer.subarray(0, this.#used)))
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest("hex"), chunks }
  }

  async #cut(): Promise<void> {
    let start = 0
    for (;;) {
      const end = cutEnd(this.#buffer, start, this.#used, this.#naming.table, catalogueRule)
      if (end < 0) break
      this.#chunks.push(await this.#store(this.#buffer.subarray(start, end)))
      start = end
    }
    this.#buffer.copyWithin(0, start, this.#used)
    this.#used -= start
  }

  async #store(bytes: Buffer): Promise<ChunkRef> {
    const id = createHmac("sha256", this.#naming.chunkKey).update(bytes).digest("hex")
    const known = this.#known.get(id)
    if (known !== undefined) return known
    const tar = Buffer.alloc(memberSize(bytes.length))
    writeHeader(tar, 0, id, bytes.length)
    bytes.copy(tar, 512)
    const frame = { bytes: await compressFrame(tar), tarBytes: tar.length, count: 1 }
    const ref = { id, length: bytes.length, run: this.#run, volume: await this.#bundles.add(frame) }
    this.#known.set(id, ref)
    return ref
  }
}
