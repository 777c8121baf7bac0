// What a signed message says, WITHOUT checking its signature. A request names its operator and carries the certificates to
// check it with inside the signed text, so that text has to be looked at before the signature can be. Whoever calls this
// must then verify the message and go on with the verified content only; `review.ts` does, and uses what stands here for
// nothing but finding the certificate.
//
// Reads one signature over one literal packet, armoured or not, as the signing door makes it; nothing compressed or
// encrypted.

import { BackupError } from "@backup-cloud/format"
import { type Packet, walkPackets } from "@backup-cloud/openpgp"

const hint =
  "ask the operator for the file as `backup-cloud request` wrote it, or as `gpg --sign --compress-algo none` does"
const refused = (object: string, why: string): BackupError => new BackupError("refused", `${object}: ${why}`, { hint })

/** Of RFC 4880, section 4.3: one-pass signature, literal data, signature. */
const signedMessage = "4,11,2"

/** The literal content of a signed message, unverified. Throws `refused`. */
export function peek(message: Uint8Array, object: string): Uint8Array {
  const bytes = unarmour(Buffer.from(message.buffer, message.byteOffset, message.length), object)
  const packets = walkPackets(bytes, object, "refused")
  const literal = packets[1]
  if (literal === undefined || packets.map(({ tag }) => tag).join() !== signedMessage)
    throw refused(object, "is not a signed OpenPGP message, neither compressed nor encrypted")
  const body = literal.partial ? joinParts(bytes, literal) : bytes.subarray(literal.body, literal.end)
  const start = 6 + (body[1] ?? 0)
  if (body.length < start) throw refused(object, "holds no text")
  return body.subarray(start)
}

function unarmour(bytes: Buffer, object: string): Buffer {
  if (((bytes[0] ?? 0) & 0x80) !== 0) return bytes
  const lines = bytes.toString("latin1").split(/\r?\n/)
  const end = lines.indexOf("-----END PGP MESSAGE-----")
  const blank = lines.findIndex((line) => line.trim() === "")
  if (lines[0] !== "-----BEGIN PGP MESSAGE-----" || end < 0 || blank < 0 || blank > end)
    throw refused(object, "is not an OpenPGP message")
  const base64 = lines.slice(blank + 1, end).filter((line) => !line.startsWith("="))
  return Buffer.from(base64.join(""), "base64")
}

/** The body of a packet with partial lengths, which `walkPackets` found whole (RFC 4880, section 4.2.2). */
function joinParts(bytes: Buffer, packet: Packet): Buffer {
  const parts: Buffer[] = []
  for (let at = packet.start + 1; at < packet.end; ) {
    const first = bytes.readUInt8(at)
    const partial = first >= 224 && first < 255
    const header = first < 192 || partial ? 1 : first === 255 ? 5 : 2
    let length = partial ? 2 ** (first & 31) : first
    if (header === 2) length = bytes.readUInt16BE(at) - 0xc000 + 192
    if (header === 5) length = bytes.readUInt32BE(at + 1)
    parts.push(bytes.subarray(at + header, at + header + length))
    at += header + length
  }
  return Buffer.concat(parts)
}
