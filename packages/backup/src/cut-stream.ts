// Cutting and naming what arrives, inside a worker thread: the main thread puts bytes of streams into slots, one after the
// other, and here they become pieces. What no cut has been found for yet is kept until the next slot comes.

import { createHash, type Hash } from "node:crypto"
import { type FileEnd, LATER, type Piece, STREAM_START, type StreamPart } from "./messages.ts"
import { type Naming, PieceBuilder, type Slot } from "./piece.ts"

/** The streams of one job. */
export class StreamCutter {
  readonly #naming: Naming
  #tail = Buffer.alloc(0)
  #hash: Hash = createHash("sha256")
  /** The stream spans pieces, so whoever packs them hashes it. */
  #long = false
  #size = 0

  constructor(naming: Naming) {
    this.#naming = naming
  }

  /** @param parts what lies in the slot from `STREAM_START` on */
  cut(slot: Slot, parts: readonly StreamPart[], last: boolean): Piece {
    const piece = new PieceBuilder(slot)
    let at = STREAM_START
    for (const part of parts) {
      const end = at + part.length
      const last = part.then !== "more"
      this.#long ||= !last
      const unhashed = this.#long ? { start: at, end, last } : null
      piece.part(part.file, this.#part(piece, at, end, part.then), unhashed)
      if (last) this.#long = false
      at = end
    }
    return piece.done(last)
  }

  #part(piece: PieceBuilder, at: number, end: number, then: StreamPart["then"]): FileEnd | null {
    const start = at - this.#tail.copy(piece.bytes, at - this.#tail.length)
    if (!this.#long) this.#hash.update(piece.bytes.subarray(at, end))
    this.#size += end - at
    const uncut = piece.cut(this.#naming, start, end)
    this.#tail = Buffer.from(piece.bytes.subarray(uncut, end))
    if (then === "more") return null
    const [hash, size] = [this.#hash, this.#size]
    this.#tail = Buffer.alloc(0)
    this.#hash = createHash("sha256")
    this.#size = 0
    const error = then === "end" ? null : then.error
    // Content that changed while it was read is kept as far as it was read, as of files: the catalogue wants it.
    if (error !== null && error !== "changed") {
      piece.void()
      return { sha256: null, size, error, stat: null }
    }
    if (end > uncut) piece.chunk(this.#naming, uncut, end)
    return { sha256: this.#long ? LATER : hash.digest("hex"), size, error, stat: null }
  }
}
