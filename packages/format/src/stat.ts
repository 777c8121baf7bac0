// What the file system says of an inode, in the forms that the catalogue has. The walker, which lists, and the workers,
// which look again at the open file, must write the same thing the same way, or every file would seem changed.

import type { BigIntStats } from "node:fs"

/** What `lstat` and `fstat` tell and the catalogue keeps. */
export interface StatFields {
  /** Permissions, set-id and sticky bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** `<seconds>.<nine digits>`; the digits add, also to negative seconds. */
  readonly mtime: string
  /** Bytes as the inode states them, whatever its type. */
  readonly size: number
  /** As `mtime`. */
  readonly ctime: string
  /** Decimal. */
  readonly ino: string
}

/** @param stats of `lstat` or `fstat` with `bigint: true`: a double holds neither all inode numbers nor nanoseconds */
export function statFields(stats: BigIntStats): StatFields {
  return {
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtime: timeField(stats.mtimeNs),
    size: Number(stats.size),
    ctime: timeField(stats.ctimeNs),
    ino: String(stats.ino),
  }
}

const SECOND = 1_000_000_000n

/** A time as the catalogue writes it. @param nanoseconds since 1970, may be negative */
export function timeField(nanoseconds: bigint): string {
  let seconds = nanoseconds / SECOND
  // Division of bigints rounds towards zero; the seconds round down.
  if (seconds * SECOND > nanoseconds) seconds -= 1n
  return `${seconds}.${String(nanoseconds - seconds * SECOND).padStart(9, "0")}`
}
