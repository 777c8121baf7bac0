// Small helpers for bodies in pieces and ranges.

import { createHash } from "node:crypto"
import { BackupError } from "@backup-cloud/format"
import type { ReadOptions } from "./ports.ts"

export function totalLength(body: readonly Uint8Array[]): number {
  return body.reduce((sum, piece) => sum + piece.length, 0)
}

/** SHA-256 of the pieces joined, hex. */
export function digestOf(body: readonly Uint8Array[]): string {
  const hash = createHash("sha256")
  for (const piece of body) hash.update(piece)
  return hash.digest("hex")
}

/** The bytes of an object of `size` that `options` asks for, cut to what there is. Throws `usage` for a bad range. */
export function rangeOf(name: string, size: number, options: ReadOptions): { start: number; end: number } {
  checkRange(name, options)
  const end = Math.min(options.end ?? size, size)
  return { start: Math.min(options.start ?? 0, end), end }
}

/** Throws `usage` unless the range is two ordered positions. */
export function checkRange(name: string, { start = 0, end = start }: ReadOptions): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start) return
  throw new BackupError("usage", `${name}: ${start} to ${end} is not a range of bytes`)
}
