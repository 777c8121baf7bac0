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
  /** A view into the buffer that was parsed. */
  readonly bytes: Buffer
}

/** The members of a whole tar archive; throws `tampered`, naming `object`, for anything but the one form. */
export function* parseTar(tar: Buffer, object: string): Generator<Member, void, undefined> {
  const fail = (why: string): never => {
    throw new BackupError("tampered", `${object}: ${why}`)
  }
  const seen = new Set<string>()
  const expected = Buffer.alloc(BLOCK)
  let at = 0
  while (at + BLOCK <= tar.length && tar[at] !== 0) {
    const id = tar.toString("latin1", at, at + 64)
    const digits = tar.toString("latin1", at + 124, at + 135)
    if (!patterns.digest.test(id) || !/^[0-7]{11}$/.test(digits)) return fail("a member is not a chunk")
    const length = Number.parseInt(digits, 8)
    writeHeader(expected, 0, id, length)
    if (tar.compare(expected, 0, BLOCK, at, at + BLOCK) !== 0) return fail(`the header of ${id} is not in the one form`)
    if (length < 1 || length > MAX_CHUNK || at + memberSize(length) > tar.length) return fail(`${id} is too long`)
    if (seen.has(id)) return fail(`${id} occurs twice`)
    seen.add(id)
    const end = at + BLOCK + length
    at += memberSize(length)
    if (!isZero(tar.subarray(end, at))) return fail(`${id} is not padded with zeros`)
    yield { id, bytes: tar.subarray(end - length, end) }
  }
  if (tar.length - at !== TAR_END || !isZero(tar.subarray(at))) return fail("the tar archive does not end as it must")
  if (seen.size === 0) return fail("holds no chunk")
}

function isZero(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}
