// The one form of ustar that volumes use: regular members named by chunk id, nothing else (docs/format.md, section 7).

import { BackupError } from "./faults.ts"
import { patterns } from "./names.ts"

export const BLOCK = 512
/** Two blocks of zeros end the archive. */
export const TAR_END = 2 * BLOCK
const MAX_CHUNK = 4_194_304

const template = Buffer.alloc(BLOCK)
template.write("0000600\0", 100, "latin1")
template.write("0000000\0", 108, "latin1")
template.write("0000000\0", 116, "latin1")
template.write("00000000000\0", 136, "latin1")
template.write("        ", 148, "latin1")
template.write("0", 156, "latin1")
template.write("ustar\u000000", 257, "latin1")
const templateSum = template.reduce((sum, byte) => sum + byte, 0)

/** Bytes that a member of this length takes, header and padding included. */
export function memberSize(length: number): number {
  return BLOCK + Math.ceil(length / BLOCK) * BLOCK
}

/** Writes a member's header at `offset` of `into`. @param id 64 hex digits */
export function writeHeader(into: Buffer, offset: number, id: string, length: number): void {
  template.copy(into, offset)
  into.write(id, offset, "latin1")
  into.write(length.toString(8).padStart(11, "0"), offset + 124, "latin1")
  let sum = templateSum
  for (let i = 0; i < 64; i++) sum += into[offset + i] ?? 0
  for (let i = 124; i < 135; i++) sum += into[offset + i] ?? 0
  into.write(`${sum.toString(8).padStart(6, "0")}\0 `, offset + 148, "latin1")
}

export interface Member {
  readonly id: string
  /** A view into what was pushed, where it came in one piece. */
  readonly bytes: Buffer
}

/** Reads a tar archive that comes in pieces; throws `tampered`, naming the object, for anything but the one form. */
export class TarReader {
  readonly #object: string
  readonly #seen = new Set<string>()
  readonly #expected = Buffer.alloc(BLOCK)
  /** What is not yet a whole member. */
  #rest: Buffer = Buffer.alloc(0)

  constructor(object: string) {
    this.#object = object
  }

  /** The members that are whole with this piece. What is left of it is copied. */
  *push(piece: Buffer): Generator<Member, void, undefined> {
    const tar = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    let at = 0
    while (at + BLOCK <= tar.length && tar[at] !== 0) {
      const { id, length } = this.#header(tar, at)
      if (at + memberSize(length) > tar.length) break
      if (this.#seen.has(id)) this.#fail(`${id} occurs twice`)
      this.#seen.add(id)
      const end = at + BLOCK + length
      at += memberSize(length)
      if (!isZero(tar.subarray(end, at))) this.#fail(`${id} is not padded with zeros`)
      yield { id, bytes: tar.subarray(end - length, end) }
    }
    this.#rest = Buffer.from(tar.subarray(at))
  }

  /** Checks that the archive ends where the pieces do. */
  end(): void {
    if (this.#rest.length !== TAR_END || !isZero(this.#rest)) this.#fail("the tar archive does not end as it must")
    if (this.#seen.size === 0) this.#fail("holds no chunk")
  }

  #header(tar: Buffer, at: number): { id: string; length: number } {
    const id = tar.toString("latin1", at, at + 64)
    const digits = tar.toString("latin1", at + 124, at + 135)
    if (!patterns.digest.test(id) || !/^[0-7]{11}$/.test(digits)) this.#fail("a member is not a chunk")
    const length = Number.parseInt(digits, 8)
    writeHeader(this.#expected, 0, id, length)
    if (tar.compare(this.#expected, 0, BLOCK, at, at + BLOCK) !== 0)
      this.#fail(`the header of ${id} is not in the one form`)
    if (length < 1 || length > MAX_CHUNK) this.#fail(`${id} is too long`)
    return { id, length }
  }

  #fail(why: string): never {
    throw new BackupError("tampered", `${this.#object}: ${why}`)
  }
}

/** The members of a whole tar archive; throws `tampered`, naming `object`, for anything but the one form. */
export function* parseTar(tar: Buffer, object: string): Generator<Member, void, undefined> {
  const reader = new TarReader(object)
  yield* reader.push(tar)
  reader.end()
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}
