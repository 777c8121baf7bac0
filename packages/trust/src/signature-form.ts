// A few bits of an OpenPGP signature file are covered by nothing: the unhashed hint at the key, the first two bytes of
// the digest, the spare bits of a number's length. A signature counts whatever they say, so a change there does no harm,
// but it is a change. This looks at files that were already found to count.

import { createHash } from "node:crypto"

/**
 * Policies count by their signers' certificates as the archive has them, though these may have expired: an archive must not
 * shut itself at a date. Whose key counts for what, and until when, is for the policies to say.
 */
export const AS_IT_WAS = { expiredKey: true }

const hashes: Readonly<Record<number, string>> = { 8: "sha256", 9: "sha384", 10: "sha512" }
const ISSUER = 16
const ISSUER_FINGERPRINT = 33

/**
 * What in the uncovered bits of `signature` cannot have been written by its signer; `null` if nothing.
 * @param signature one packet of version 4 (RFC 4880, section 5.2.3)
 */
export function changedUncovered(signature: Uint8Array, signed: Uint8Array): string | null {
  const bytes = Buffer.from(signature.buffer, signature.byteOffset, signature.length)
  const body = bytes.subarray(headerLength(bytes))
  if (body.length < 10) return "is too short"
  const hashedEnd = 6 + body.readUInt16BE(4)
  const hashed = subpackets(body.subarray(6, hashedEnd))
  const unhashedEnd = hashedEnd + 2 + body.readUInt16BE(hashedEnd)
  const unhashed = subpackets(body.subarray(hashedEnd + 2, unhashedEnd))

  const fingerprint = hashed.find((each) => (each.type & 0x7f) === ISSUER_FINGERPRINT)?.data
  for (const { type, data } of unhashed) {
    const known = type === ISSUER && (fingerprint === undefined || data.equals(fingerprint.subarray(-8)))
    if (!known) return "names another key outside of what is signed than inside"
  }

  const algorithm = hashes[body[3] ?? 0]
  if (algorithm === undefined) return "has an unknown digest"
  const trailer = Buffer.from([4, 0xff, 0, 0, 0, 0])
  trailer.writeUInt32BE(hashedEnd, 2)
  const digest = createHash(algorithm).update(signed).update(body.subarray(0, hashedEnd)).update(trailer).digest()
  if (!digest.subarray(0, 2).equals(body.subarray(unhashedEnd, unhashedEnd + 2))) return "starts with another digest"
  return wholeNumbers(body.subarray(unhashedEnd + 2)) ? null : "has a number whose length is not its own"
}

/** Bytes before the packet's body; the verifier has found exactly one packet. */
function headerLength(bytes: Buffer): number {
  const [tag = 0, first = 0] = bytes
  if ((tag & 0x40) === 0) return [2, 3, 5, 1][tag & 3] ?? 1
  return first < 192 ? 2 : first < 224 ? 3 : 6
}

function subpackets(area: Buffer): { readonly type: number; readonly data: Buffer }[] {
  const found: { type: number; data: Buffer }[] = []
  for (let at = 0; at < area.length; ) {
    const first = area[at] ?? 0
    const [start, length] =
      first < 192
        ? [at + 1, first]
        : first < 255 && at + 1 < area.length
          ? [at + 2, ((first - 192) << 8) + (area[at + 1] ?? 0) + 192]
          : [at + 5, at + 5 <= area.length ? area.readUInt32BE(at + 1) : 0]
    found.push({ type: area[start] ?? 0, data: area.subarray(start + 1, start + length) })
    at = start + Math.max(1, length)
  }
  return found
}

/** Numbers up to the end, each with the bits it says, or, as some programs write the halves of EdDSA, whole bytes. */
function wholeNumbers(area: Buffer): boolean {
  let at = 0
  while (at + 2 < area.length) {
    const bits = area.readUInt16BE(at)
    const length = (bits + 7) >> 3
    const top = area[at + 2] ?? 0
    if (bits !== 8 * length && bits !== 8 * (length - 1) + (32 - Math.clz32(top))) return false
    at += 2 + length
  }
  return at === area.length
}
