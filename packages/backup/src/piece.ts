// A piece in the making, inside a worker thread: chunks are cut from a slot and named, and told apart by file.

import { createHmac, type KeyObject } from "node:crypto"
import { contentRule, cutEnd } from "./cut.ts"
import { type FileEnd, type FilePart, HEAD, type Piece, type Unhashed } from "./messages.ts"

/** Memory for one piece. */
export interface Slot {
  readonly number: number
  /** `SLOT` bytes. */
  readonly bytes: Buffer
}

export interface Naming {
  /** As a key object, which spares `createHmac` to find out each time what it was given. */
  readonly chunkKey: KeyObject
  readonly table: Int32Array
}

export class PieceBuilder {
  readonly bytes: Buffer
  readonly #slot: number
  used = HEAD
  #ids: string[] = []
  #offsets: number[] = []
  #lengths: number[] = []
  #parts: FilePart[] = []
  #partStart = 0

  constructor({ number, bytes }: Slot) {
    this.#slot = number
    this.bytes = bytes
  }

  chunk(naming: Naming, start: number, end: number): void {
    this.#ids.push(createHmac("sha256", naming.chunkKey).update(this.bytes.subarray(start, end)).digest("hex"))
    this.#offsets.push(start)
    this.#lengths.push(end - start)
  }

  /** Cuts what is known; where the first byte is that belongs to no chunk yet. */
  cut(naming: Naming, start: number, known: number): number {
    for (let from = start; ; ) {
      const end = cutEnd(this.bytes, from, known, naming.table, contentRule)
      if (end < 0) return from
      this.chunk(naming, from, end)
      from = end
    }
  }

  /** Forgets the chunks of the file that is being read. */
  void(): void {
    this.#ids.length = this.#partStart
    this.#offsets.length = this.#partStart
    this.#lengths.length = this.#partStart
  }

  part(file: number, end: FileEnd | null, unhashed: Unhashed | null): void {
    this.#parts.push({ file, chunks: this.#ids.length - this.#partStart, end, unhashed })
    this.#partStart = this.#ids.length
  }

  done(last: boolean): Piece {
    return {
      slot: this.#slot,
      ids: this.#ids,
      offsets: this.#offsets,
      lengths: this.#lengths,
      parts: this.#parts,
      last,
    }
  }
}
