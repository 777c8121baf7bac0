// The plaintext of a volume: zstd frames whose contents joined are a tar archive, then padding (docs/format.md, section 7).
// Node's zstd stops silently after the first of several frames, so frames are found here by their block headers
// (RFC 8878, section 3.1.1) and decompressed one by one, each with its length known and its checksum checked.

import { promisify } from "node:util"
import { constants, zstdCompress, zstdCompressSync, zstdDecompress } from "node:zlib"
import { BackupError } from "./faults.ts"
import { inOrder } from "./in-order.ts"
import { release } from "./release.ts"
import { type Member, TarReader } from "./tar.ts"

/** Length of a full volume's plaintext: 64 MiB less 128 KiB for the OpenPGP packets around it. */
export const FULL = 66_977_792
/** Largest length that is a power of two. */
const LARGEST_POWER = 33_554_432
const SMALLEST = 65_536
/** Most bytes of tar in one volume. */
export const MAX_TAR = 268_435_456
/** Most members of one volume. */
export const MAX_MEMBERS = 65_536
/** What a reader needs of memory to unpack a frame. */
const MAX_WINDOW = 8_388_608
/** Of a skippable frame. */
const SKIPPABLE_HEADER = 8

/** The magic number of a zstd frame. */
const FRAME = 0xfd2fb528

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

const parameters = {
  // Trees of source code and of programs take 5% less at level 3, and half as much time again.
  [constants.ZSTD_c_compressionLevel]: 2,
  [constants.ZSTD_c_checksumFlag]: 1,
  [constants.ZSTD_c_contentSizeFlag]: 1,
}

/** One zstd frame of `bytes`, with content size and checksum. */
export async function compressFrame(bytes: Uint8Array): Promise<Buffer> {
  return await compress(bytes, frameOptions(bytes.length))
}

/** The same at once, for worker threads. The buffer is the frame's alone, and may be larger than it. */
export function compressFrameSync(bytes: Uint8Array): Buffer<ArrayBuffer> {
  return zstdCompressSync(bytes, frameOptions(bytes.length))
}

function frameOptions(length: number) {
  // Room for whatever it compresses to, so that it comes in one piece (ZSTD_COMPRESSBOUND in zstd.h, and the checksum), and
  // too much to be cut from a buffer that others share.
  const chunkSize = Math.max(length + (length >> 8) + 1_024, Buffer.poolSize)
  return { params: parameters, pledgedSrcSize: length, chunkSize }
}

/** The length that frames of `length` bytes are padded to; `null` if they do not fit a volume. */
export function paddedLength(length: number): number | null {
  for (let size = SMALLEST; size <= LARGEST_POWER; size *= 2) if (fits(length, size)) return size
  return fits(length, FULL) ? FULL : null
}

const fits = (length: number, size: number): boolean => length === size || length + SKIPPABLE_HEADER <= size

/** The skippable frame that brings frames of `length` bytes to their padded length; empty if none is needed. */
export function padding(length: number): Buffer {
  const size = paddedLength(length)
  if (size === null) throw new RangeError("too long for a volume")
  if (size === length) return Buffer.alloc(0)
  const frame = Buffer.alloc(size - length)
  frame.writeUInt32LE(0x184d2a50, 0)
  frame.writeUInt32LE(frame.length - SKIPPABLE_HEADER, 4)
  return frame
}

/** The chunks of a volume's plaintext, after all of it was checked. Throws `tampered`, naming `object`. */
export async function unpackVolume(plain: Uint8Array, object: string): Promise<Member[]> {
  const members: Member[] = []
  for await (const frame of unpacked(plain, object, new AbortController().signal)) members.push(...frame.members)
  return members
}

/**
 * The same, one after the other while the rest is not unpacked yet: what is wrong further on shows only there, so nothing
 * may count until the end. A chunk's bytes are valid until the next is asked for.
 */
export async function* volumeMembers(
  plain: Uint8Array,
  object: string,
  signal: AbortSignal,
): AsyncGenerator<Member, void, undefined> {
  for await (const { members, content } of unpacked(plain, object, signal)) {
    yield* members
    release(content)
  }
}

/** Frame by frame, the members that it completes, and the memory that most of them lie in. */
async function* unpacked(plain: Uint8Array, object: string, signal: AbortSignal) {
  const bytes = Buffer.from(plain.buffer, plain.byteOffset, plain.length)
  const tar = new TarReader(object)
  let count = 0
  // While one is used, the next is decompressed.
  for await (const content of inOrder(framesOf(bytes, object), 2, signal, (frame) => unpack(bytes, frame, object))) {
    const members = [...tar.push(content)]
    count += members.length
    if (count > MAX_MEMBERS) throw new BackupError("tampered", `${object}: holds more than 65,536 chunks`)
    yield { members, content: content.buffer }
  }
  tar.end()
}

interface FrameAt {
  readonly at: number
  readonly end: number
  /** Bytes of content that it says it has. */
  readonly size: number
}

function framesOf(bytes: Buffer, object: string): FrameAt[] {
  const fail = (why: string): never => {
    throw new BackupError("tampered", `${object}: ${why}`)
  }
  if (bytes.length < SMALLEST) return fail("is shorter than any volume")
  const frames: FrameAt[] = []
  let at = 0
  let total = 0
  while (at + 4 <= bytes.length && bytes.readUInt32LE(at) === FRAME) {
    const frame = frameAt(bytes, at) ?? fail("a zstd frame is not in form")
    total += frame.size
    if (total > MAX_TAR) return fail("holds more than 256 MiB")
    frames.push({ at, ...frame })
    at = frame.end
  }
  if (frames.length === 0) return fail("holds no zstd frame")
  const expected = paddedLength(at)
  if (expected !== bytes.length || bytes.compare(padding(at), 0, bytes.length - at, at) !== 0)
    return fail("is not padded as it must be")
  return frames
}

async function unpack(bytes: Buffer, { at, end, size }: FrameAt, object: string): Promise<Buffer<ArrayBuffer>> {
  // In one piece, and in a buffer that nothing else shares.
  const room = { maxOutputLength: Math.max(1, size), chunkSize: Math.max(size + 1, Buffer.poolSize) }
  try {
    const content = await decompress(bytes.subarray(at, end), room)
    if (content.length === size) return content
  } catch (cause) {
    throw new BackupError("tampered", `${object}: a zstd frame does not decompress`, { cause })
  }
  throw new BackupError("tampered", `${object}: a zstd frame has another length than it says`)
}

/** End and content size of the frame that starts at `at`; `null` unless it is in the form of section 7. */
function frameAt(bytes: Buffer, at: number): { end: number; size: number } | null {
  const descriptor = bytes[at + 4]
  if (descriptor === undefined || (descriptor & 0b11) !== 0 || (descriptor & 0b1000) !== 0) return null
  const single = (descriptor & 0b10_0000) !== 0
  if ((descriptor & 0b100) === 0) return null
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  const sizeAt = at + 5 + (single ? 0 : 1)
  let block = sizeAt + sizeBytes
  if (sizeBytes === 0 || block + 3 > bytes.length) return null
  const size =
    sizeBytes === 8
      ? Number(bytes.readBigUInt64LE(sizeAt))
      : bytes.readUIntLE(sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  // Of a single segment the window is the content; otherwise a byte gives exponent and mantissa (RFC 8878, 3.1.1.1.2).
  const windowByte = bytes[at + 5] ?? 0
  const window = single ? size : 2 ** (10 + (windowByte >> 3)) * (1 + (windowByte & 7) / 8)
  if (window > MAX_WINDOW) return null
  for (;;) {
    if (block + 3 > bytes.length) return null
    const header = bytes.readUIntLE(block, 3)
    const type = (header >> 1) & 0b11
    if (type === 3) return null
    block += 3 + (type === 1 ? 1 : header >> 3)
    if ((header & 1) === 1) break
  }
  const end = block + 4
  return end <= bytes.length ? { end, size } : null
}
