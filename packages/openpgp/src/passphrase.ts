// Passphrases as gpg reads them from a file descriptor: one line. Both doors refuse what would not come out the same.

import { BackupError } from "@backup-cloud/format"

/** The line, with its end. Throws `usage` for an empty passphrase or one with line ends, NUL, or over 255 bytes. */
export function passphraseBytes(passphrase: string): Uint8Array {
  const bytes = Buffer.from(`${passphrase}\n`, "utf8")
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
  if (passphrase === "" || bytes.length > 256 || /[\0\r\n]/.test(passphrase) || !passphrase.isWellFormed()) {
    throw new BackupError("usage", "a passphrase must be one line of 1 to 255 bytes")
  }
  return bytes
}
