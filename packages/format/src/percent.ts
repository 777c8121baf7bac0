// Bytes as text. A *byte string* is a JavaScript string with one character (0 to 255) for each byte: it compares, hashes
// and splits like the bytes it stands for. In the catalogue such strings are percent-encoded.

const plain = /^[A-Za-z0-9/._+,:@~-]*$/
const other = /[^A-Za-z0-9/._+,:@~-]/g
const encoded = /^(?:[A-Za-z0-9/._+,:@~-]|%[0-9A-F]{2})*$/

/** @param bytes a byte string */
export function percentEncode(bytes: string): string {
  if (plain.test(bytes)) return bytes
  return bytes.replace(other, (c) => {
    const code = c.charCodeAt(0)
    if (code > 255) throw new RangeError("not a byte string")
    return `%${code.toString(16).toUpperCase().padStart(2, "0")}`
  })
}

/** The byte string that `text` encodes; `null` unless it is the one form of some byte string. */
export function percentDecode(text: string): string | null {
  if (!text.includes("%")) return plain.test(text) ? text : null
  if (!encoded.test(text)) return null
  const bytes = text.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
  return percentEncode(bytes) === text ? bytes : null
}

/** The byte string of a JavaScript string's UTF-8 form. */
export function toByteString(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1")
}

/** A byte string as text for people: UTF-8 where it is valid, percent-encoded where it is not. */
export function fromByteString(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString("utf8")
  return toByteString(text) === bytes ? text : percentEncode(bytes)
}
