// Reading, cutting and naming, inside a worker thread: synchronous calls, large buffers, one pass over the bytes.
// A file counts as read consistently if `fstat` says the same before and after. One that does not is read again while it
// fits one buffer, and then stored as far as it was read, with the word `changed`: reported, not guessed.

import { createHash, type Hash } from "node:crypto"
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { statFields } from "@backup-cloud/format"
import { type FileEnd, type FileToRead, LATER, type Piece, type ReadStat, SLOT, type Unhashed } from "./messages.ts"
import { type Naming, PieceBuilder, type Slot } from "./piece.ts"

/** A piece of small files is handed on when it holds this much. */
const ENOUGH = 4_194_304
const ATTEMPTS = 3

/**
 * The pieces of `files`, in order. The last one has `last` set, also when there is no content at all.
 * @param take asked for memory once a piece, when it is begun
 */
export function* scan(
  files: readonly FileToRead[],
  naming: Naming,
  take: () => Slot,
): Generator<Piece, void, undefined> {
  let piece = new PieceBuilder(take())
  for (const [index, file] of files.entries()) {
    if (piece.used + Math.min(file.size + 1, ENOUGH) > SLOT || piece.used >= ENOUGH) {
      yield piece.done(false)
      piece = new PieceBuilder(take())
    }
    const reading = new Reading(file)
    let step = reading.step(piece, naming)
    while (step === "full") {
      piece.part(index, null, reading.unhashed(piece, false))
      const tail = reading.tail(piece)
      yield piece.done(false)
      piece = new PieceBuilder(take())
      reading.goOn(piece, tail)
      step = reading.step(piece, naming)
    }
    piece.part(index, step, reading.unhashed(piece, true))
  }
  yield piece.done(true)
}

/** One file being read, from open to close, perhaps over several pieces. */
class Reading {
  readonly #file: FileToRead
  #fd: number | null = null
  #before: BigIntStats | null = null
  #hash: Hash = createHash("sha256")
  /** It will not fit the piece, so whoever packs the pieces hashes it. */
  #long = false
  #size = 0
  #attempt = 1
  #pieces = 1
  /** Start of the file's bytes in the piece, and of its first byte that belongs to no chunk yet. */
  #base = 0
  #uncut = 0
  /** Start of what the piece before did not hold. */
  #new = 0

  constructor(file: FileToRead) {
    this.#file = file
  }

  /** Reads until the piece is full or the file has ended. */
  step(piece: PieceBuilder, naming: Naming): "full" | FileEnd {
    try {
      this.#fd ??= this.#open(piece)
      if (this.#fd === -1) return this.#fail("replaced")
      for (;;) {
        const count = readSync(this.#fd, piece.bytes, piece.used, piece.bytes.length - piece.used, null)
        if (count === 0) {
          const end = this.#finish(piece, naming)
          if (end !== null) return end
          continue
        }
        if (!this.#long) this.#hash.update(piece.bytes.subarray(piece.used, piece.used + count))
        piece.used += count
        this.#size += count
        this.#uncut = piece.cut(naming, this.#uncut, piece.used)
        if (piece.used === piece.bytes.length) return "full"
      }
    } catch (error) {
      piece.void()
      const code: unknown = error instanceof Error && "code" in error ? error.code : undefined
      if (typeof code !== "string") throw error
      return this.#fail(code)
    }
  }

  /** What of the piece whoever packs it is to hash. @param last the file has ended */
  unhashed(piece: PieceBuilder, last: boolean): Unhashed | null {
    return this.#long ? { start: this.#new, end: piece.used, last } : null
  }

  /** A copy of what is not cut yet; shorter than the longest chunk. */
  tail(piece: PieceBuilder): Buffer {
    return Buffer.from(piece.bytes.subarray(this.#uncut, piece.used))
  }

  /** Goes on in the next piece. */
  goOn(piece: PieceBuilder, tail: Buffer): void {
    this.#base = piece.used
    this.#uncut = piece.used
    piece.used += tail.copy(piece.bytes, piece.used)
    this.#new = piece.used
    this.#pieces++
  }

  #open(piece: PieceBuilder): number {
    const fd = openForReading(Buffer.from(this.#file.file, "latin1"))
    this.#before = fstatSync(fd, { bigint: true })
    this.#base = piece.used
    this.#uncut = piece.used
    this.#new = piece.used
    this.#long = this.#before.size > BigInt(piece.bytes.length - piece.used)
    if (this.#before.isFile()) return fd
    closeSync(fd)
    return -1
  }

  /** At the end of the file: its end, or `null` if it is read once more from the start. */
  #finish(piece: PieceBuilder, naming: Naming): FileEnd | null {
    const after = fstatSync(this.#fd as number, { bigint: true })
    const same = this.#before !== null && sameFile(this.#before, after) && after.size === BigInt(this.#size)
    if (!same && this.#pieces === 1 && this.#attempt < ATTEMPTS) {
      piece.void()
      piece.used = this.#base
      this.#close()
      this.#attempt++
      this.#hash = createHash("sha256")
      this.#size = 0
      this.#fd = this.#open(piece)
      return this.#fd === -1 ? this.#fail("replaced") : null
    }
    if (piece.used > this.#uncut) piece.chunk(naming, this.#uncut, piece.used)
    this.#close()
    const sha256 = this.#long ? LATER : this.#hash.digest("hex")
    return { sha256, size: this.#size, error: same ? null : "changed", stat: readStat(after) }
  }

  #fail(error: string): FileEnd {
    this.#close()
    return { sha256: null, size: this.#file.size, error, stat: null }
  }

  #close(): void {
    if (this.#fd !== null && this.#fd >= 0) closeSync(this.#fd)
    this.#fd = null
  }
}

function sameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino && a.dev === b.dev
}

function readStat(stats: BigIntStats): ReadStat {
  const { mode, uid, gid, mtime, ctime, ino } = statFields(stats)
  return { mode, uid, gid, mtime, ctime, ino }
}

/** Opens without following a link, without waiting for a writer, and, where the kernel allows it, without touching the access time. */
function openForReading(file: Buffer): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  try {
    return openSync(file, flags | constants.O_NOATIME)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPERM") return openSync(file, flags)
    throw error
  }
}
