// Ranges of bytes.

import { BackupError } from "@backup-cloud/format"
import type { ReadOptions } from "./ports.ts"

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
