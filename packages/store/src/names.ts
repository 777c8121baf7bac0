// Which names an object may have, and their order. The rule is the same for all stores, so that what one of them holds
// fits into each of the others: it is narrower than what S3 or a file system alone would take.

import { BackupError, escapeControl, patterns } from "@backup-cloud/format"

/** S3's limit for a key, in bytes; the archive's prefix comes out of it too. */
const MAX_NAME = 900
/** NAME_MAX of the usual file systems, in bytes. */
const MAX_SEGMENT = 255

/**
 * Throws `usage` unless `name` is one to store under: segments joined by `/`, none empty, longer than 255 bytes or
 * beginning with a dot (`..`, and a directory's hidden names), and no control characters or lone surrogates.
 */
export function checkName(name: string): void {
  const fits =
    Buffer.byteLength(name) <= MAX_NAME &&
    name.isWellFormed() &&
    !/\p{Cc}/u.test(name) &&
    name.split("/").every((part) => part !== "" && !part.startsWith(".") && Buffer.byteLength(part) <= MAX_SEGMENT)
  if (!fits) throw new BackupError("usage", `"${escapeControl(name)}" cannot be the name of an object`)
}

/** Throws `usage` unless `sha256` is a digest in hex. */
export function checkDigest(name: string, sha256: string): void {
  if (!patterns.digest.test(sha256)) throw new BackupError("usage", `${name}: not the SHA-256 of a body in hex`)
}

/** Order of names by the bytes of their UTF-8, as S3 lists them. UTF-16 differs from it where surrogates occur. */
export function compareNames(a: string, b: string): number {
  if (surrogate.test(a) || surrogate.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : a > b ? 1 : 0
}
const surrogate = /[\ud800-\udfff]/
