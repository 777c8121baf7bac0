// A strict look at OpenPGP packet headers (RFC 4880, section 4.2) and at the few bytes behind them that decide whether
// a message, certificate or signature has the form the archive allows. It checks our own output before it leaves, and
// foreign input before any OpenPGP program sees it. It decrypts nothing, verifies nothing, and parses no more than that.

import { BackupError, type Fault } from "@backup-cloud/format"

export const TAG = {
  pkesk: 1,
  signature: 2,
  skesk: 3,
  onePass: 4,
  secretKey: 5,
  publicKey: 6,
  compressed: 8,
  literal: 11,
  userId: 13,
  publicSubkey: 14,
  userAttribute: 17,
  sealedData: 18,
} as const

/** Only these may come in partial lengths: they alone hold data of unknown length. */
const streamed: ReadonlySet<number> = new Set([TAG.compressed, TAG.literal, TAG.sealedData])

export interface Packet {
  readonly tag: number
  /** Offset of the header's first byte. */
  readonly start: number
  /** Offset of the body's first byte. */
  readonly body: number
  /** One past the packet's last byte. Between `body` and `end` lie further length headers if `partial`. */
  readonly end: number
  readonly partial: boolean
}

/** A header, as far as `bytes` shows it; `null` if more bytes are needed; throws if it can't become a valid one. */
interface Header {
  readonly tag: number
  /** Bytes of the header. */
  readonly size: number
  /** Of the body, or of its first part; `Infinity` for all that follows. */
  readonly length: number
  readonly partial: boolean
}

class Malformed extends Error {}

/** A new-format length at `at`; `null` if more bytes are needed. `size` counts the bytes of the length itself. */
function newLength(bytes: Uint8Array, at: number): { size: number; length: number; partial: boolean } | null {
  const first = bytes[at]
  if (first === undefined) return null
  if (first < 192) return { size: 1, length: first, partial: false }
  if (first >= 224 && first < 255) return { size: 1, length: 2 ** (first & 31), partial: true }
  const size = first === 255 ? 5 : 2
  if (bytes.length < at + size) return null
  let length = size === 2 ? first - 192 : 0
  for (let i = 1; i < size; i++) length = length * 256 + (bytes[at + i] ?? 0)
  if (size === 2) length += 192
  return { size, length, partial: false }
}

function readHeader(bytes: Uint8Array, at: number): Header | null {
  const first = bytes[at]
  if (first === undefined) return null
  if ((first & 0x80) === 0) throw new Malformed("no packet starts here")
  if ((first & 0x40) !== 0) {
    const tag = first & 63
    const length = newLength(bytes, at + 1)
    if (length === null) return null
    if (length.partial && !streamed.has(tag)) throw new Malformed(`a packet of tag ${tag} has partial lengths`)
    return { tag, size: 1 + length.size, length: length.length, partial: length.partial }
  }
  const tag = (first >> 2) & 15
  if ((first & 3) === 3) {
    // Until the end of the file: so does gpg write compressed data, and nobody anything else that is of use here.
    if (tag !== TAG.compressed) throw new Malformed(`a packet of tag ${tag} has no length`)
    return { tag, size: 1, length: Infinity, partial: false }
  }
  const size = 1 + 2 ** (first & 3)
  if (bytes.length < at + size) return null
  let length = 0
  for (let i = 1; i < size; i++) length = length * 256 + (bytes[at + i] ?? 0)
  return { tag, size, length, partial: false }
}

/** Runs `work` and names `object` in what it throws. */
function naming<T>(object: string, fault: Fault, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause
    throw new BackupError(fault, `${object}: ${cause.message}`, { cause })
  }
}

function onePacket(bytes: Uint8Array, start: number): Packet {
  const header = readHeader(bytes, start)
  if (header === null) throw new Malformed("ends within a packet header")
  const body = start + header.size
  let end = header.length === Infinity ? bytes.length : body + header.length
  let { partial } = header
  while (partial) {
    const next = newLength(bytes, end)
    if (next === null) throw new Malformed("ends within a packet")
    end += next.size + next.length
    partial = next.partial
  }
  if (end > bytes.length) throw new Malformed("ends within a packet")
  return { tag: header.tag, start, body, end, partial: header.partial }
}

/** All packets of `bytes`, end to end with nothing between or after; throws `fault`, naming `object`, otherwise. */
export function walkPackets(bytes: Uint8Array, object: string, fault: Fault = "tampered"): readonly Packet[] {
  return naming(object, fault, () => {
    const packets: Packet[] = []
    for (let at = 0; at < bytes.length; at = packets.at(-1)?.end ?? bytes.length) packets.push(onePacket(bytes, at))
    return packets
  })
}

/**
 * Exactly the PKESK packets that `message` starts with: what a receipt's `handed` has the digest of. `message` may be
 * the beginning of a file if it reaches into the packet after them. Throws `tampered` if there is none.
 */
export function leadingPkesks(message: Uint8Array, object: string): Uint8Array {
  return naming(object, "tampered", () => {
    let end = 0
    while (readHeader(message, end)?.tag === TAG.pkesk) end = onePacket(message, end).end
    if (end === 0) throw new Malformed("does not start with a key packet")
    if (end === message.length) throw new Malformed("ends after its key packets")
    return message.subarray(0, end)
  })
}

/** Throws `refused` unless `bytes` is one signature packet, version 4, class 00, with SHA-256, SHA-384 or SHA-512. */
export function checkSignatureFile(bytes: Uint8Array, object: string): void {
  const packets = walkPackets(bytes, object, "refused")
  const only = packets[0]
  const refuse = (why: string): never => {
    throw new BackupError("refused", `${object}: ${why}`)
  }
  if (only === undefined || packets.length !== 1 || only.tag !== TAG.signature)
    return refuse("is not one signature packet")
  const [version, kind, , hash] = bytes.subarray(only.body, only.end)
  if (version !== 4) refuse("is not a signature of version 4")
  if (kind !== 0) refuse("is not a signature of a binary document")
  if (hash !== 8 && hash !== 9 && hash !== 10) refuse("does not use SHA-256, SHA-384 or SHA-512")
}

/** A packet before the data of a sealed message, whole. */
interface KeyPacket {
  readonly tag: number
  readonly bytes: Uint8Array
  readonly body: Uint8Array
}

export interface SealedParts {
  /** The key packets: PKESKs (version 3), then at most one SKESK (version 4). */
  readonly keys: readonly KeyPacket[]
  /** The SEIPD packet (version 1) with its headers; throws `tampered` if it does not end with the message. */
  readonly data: AsyncIterable<Uint8Array>
  /** Ends the message's iteration; always to be called, however far `data` was read. */
  close(): Promise<void>
}

/** Far above what the largest RSA key needs. */
const MOST_KEY_PACKET = 16_384
const MOST_KEY_PACKETS = 1_024

/**
 * Takes a sealed message apart (docs/format.md, section 4) as it streams; nothing of the data is held or copied, and no
 * piece is looked at after the next was asked for.
 * Throws `tampered` for anything else: other tags (20 among them), versions, orders, bytes after the end.
 */
export async function splitSealed(message: AsyncIterable<Uint8Array>, object: string): Promise<SealedParts> {
  const pieces = message[Symbol.asyncIterator]()
  const close = async (): Promise<void> => {
    await pieces.return?.()
  }
  const fail = (why: string): never => {
    throw new BackupError("tampered", `${object}: ${why}`)
  }
  try {
    const keys: KeyPacket[] = []
    let held: Uint8Array = new Uint8Array(0)
    for (;;) {
      const header = naming(object, "tampered", () => readHeader(held, 0))
      if (header?.tag === TAG.sealedData && held.length > header.size) {
        if (keys.length === 0) fail("has no key packet before its data")
        if (held[header.size] !== 1) fail("its data packet is not of version 1")
        return { keys, data: dataPacket(held, header, pieces, object), close }
      }
      if (header !== null && header.tag !== TAG.sealedData) {
        if (keys.at(-1)?.tag === TAG.skesk) fail(`a packet of tag ${header.tag} follows the passphrase packet`)
        if (header.tag !== TAG.pkesk && header.tag !== TAG.skesk) fail(`has a packet of tag ${header.tag}`)
        if (header.length > MOST_KEY_PACKET || keys.length === MOST_KEY_PACKETS)
          fail("has too many or too large key packets")
        const end = header.size + header.length
        if (held.length >= end) {
          const packet = Uint8Array.from(held.subarray(0, end))
          const body = packet.subarray(header.size)
          if (body[0] !== (header.tag === TAG.pkesk ? 3 : 4))
            fail(`a key packet of tag ${header.tag} has another version`)
          keys.push({ tag: header.tag, bytes: packet, body })
          held = held.subarray(end)
          continue
        }
      }
      const rest = Uint8Array.from(held)
      const next = await pieces.next()
      if (next.done === true) return fail("ends before its data")
      held = rest.length === 0 ? next.value : Buffer.concat([rest, next.value])
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function* dataPacket(
  first: Uint8Array,
  header: Header,
  pieces: AsyncIterator<Uint8Array>,
  object: string,
): AsyncGenerator<Uint8Array> {
  // Bytes left of the present part, as whose beginning the header counts here.
  let left = header.size + header.length
  let { partial } = header
  let split: Uint8Array = new Uint8Array(0)
  for (let piece = first; ; ) {
    let at = 0
    while (at < piece.length) {
      if (left > 0) {
        const step = Math.min(left, piece.length - at)
        left -= step
        at += step
        continue
      }
      if (!partial) throw new BackupError("tampered", `${object}: has bytes after its end`)
      // A length has up to five bytes, which may lie in several pieces; gpg writes one every 8 KiB.
      const joined: Uint8Array | null = split.length === 0 ? null : Buffer.concat([split, piece.subarray(at, at + 5)])
      const length = joined === null ? newLength(piece, at) : newLength(joined, 0)
      if (length === null) {
        split = joined ?? Uint8Array.from(piece.subarray(at))
        break
      }
      at += length.size - split.length
      split = new Uint8Array(0)
      left = length.length
      partial = length.partial
    }
    yield piece
    const next = await pieces.next()
    if (next.done === true) break
    piece = next.value
  }
  if (left > 0 || partial) throw new BackupError("tampered", `${object}: ends within its data`)
}
