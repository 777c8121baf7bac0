// ASCII armour, read strictly: one block of the wanted kind and nothing before, between or after. What comes out is all
// that any door sees of the file, so text around the block can't show a person something else than what is used.

import { BackupError, type Fault } from "@backup-cloud/format"

export type ArmorKind = "PUBLIC KEY BLOCK" | "PRIVATE KEY BLOCK" | "MESSAGE"

const checksum = (bytes: Uint8Array): number => {
  let crc = 0xb704ce
  for (const byte of bytes) {
    crc ^= byte << 16
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x800000) === 0 ? 0 : 0x1864cfb)
  }
  return crc & 0xffffff
}

/**
 * The packets in `bytes`, whether it is armoured or binary already (then it is returned as it is).
 * Throws `fault`, naming `object`, for armour that is not whole, of another kind, or not alone.
 */
export function binaryOf(bytes: Uint8Array, kind: ArmorKind, object: string, fault: Fault): Uint8Array {
  // Every packet starts with a byte of 0x80 or more, and armour with none.
  if (bytes[0] === undefined || bytes[0] >= 0x80) return bytes
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1").replaceAll("\r\n", "\n")
  const head = `-----BEGIN PGP ${kind}-----\n`
  const tail = `\n-----END PGP ${kind}-----`
  const blank = /\n[ \t]*\n/.exec(text)
  const trimmed = text.trimEnd()
  const refuse = (): never => {
    throw new BackupError(fault, `${object}: is not one block of armour (PGP ${kind}) and nothing else`)
  }
  if (blank === null || !text.startsWith(head) || !trimmed.endsWith(tail)) return refuse()
  const headers = text.slice(head.length, blank.index + 1)
  const lines = trimmed.slice(blank.index + blank[0].length, -tail.length).split("\n")
  const sum = lines.at(-1)?.startsWith("=") === true ? lines.pop() : undefined
  const base64 = lines.join("")
  if (!/^(?:[A-Za-z]+: [ -~]*\n)*$/.test(headers)) refuse()
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)) refuse()
  const binary = Buffer.from(base64, "base64")
  const expected = Buffer.from(sum?.slice(1) ?? "", "base64")
  if (sum !== undefined && (expected.length !== 3 || expected.readUIntBE(0, 3) !== checksum(binary))) refuse()
  return binary
}
