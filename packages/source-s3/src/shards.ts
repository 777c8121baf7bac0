// Several sources that share one prefix, each with a part of the keys that is the same from run to run: so that each is
// listed, backed up and restored by itself. Every key is in exactly one part, whatever is added later.

import { hash } from "node:crypto"
import { BackupError, toByteString } from "@backup-cloud/format"

/** Keys below the prefix from `from` on and before `to`, by their bytes; open where one is not given. Listed alone. */
export interface KeyRange {
  readonly from?: string
  readonly to?: string
}

/**
 * Part `index` (from 0) of `count`, by the digest of the key: parts are alike in size whatever the keys look like, but
 * everything is listed for each of them.
 */
export interface KeyShare {
  readonly index: number
  readonly count: number
}

export type Shard = KeyRange | KeyShare

/**
 * The ranges between `boundaries`, one more than there are of them.
 * @param boundaries ascending by their bytes. Throws `usage` if they are not
 */
export function shardRanges(boundaries: readonly string[]): readonly KeyRange[] {
  const edges = [undefined, ...boundaries, undefined]
  return edges.slice(1).map((to, i) => {
    const from = edges[i]
    if (from !== undefined && to !== undefined && !(toByteString(from) < toByteString(to)))
      throw new BackupError("usage", `${JSON.stringify(to)} does not come after ${JSON.stringify(from)}`, {
        hint: "give boundaries in ascending order, each once",
      })
    return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  })
}

/** Throws `usage` for a shard that cannot be meant. */
export function checkShard(shard: Shard): void {
  if (!("index" in shard)) {
    if (shard.from !== undefined && shard.to !== undefined) shardRanges([shard.from, shard.to])
    return
  }
  const { index, count } = shard
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(count) || index < 0 || index >= count)
    throw new BackupError("usage", `there is no part ${index} of ${count}`, { hint: "parts count from 0" })
}

/** Whether a key belongs to the shard. @param key below the prefix, a byte string */
export function isInShard(shard: Shard, key: string): boolean {
  if (!("index" in shard)) {
    const { from, to } = shard
    return (from === undefined || key >= toByteString(from)) && (to === undefined || key < toByteString(to))
  }
  // 48 bits, the most that Node.js reads as one number.
  const digest = hash("sha256", Buffer.from(key, "latin1"), "buffer")
  return digest.readUIntBE(0, 6) % shard.count === shard.index
}

/** Whether, by their order, no later key belongs to the shard. @param key as of `isInShard` */
export function isBehindShard(shard: Shard, key: string): boolean {
  return !("index" in shard) && shard.to !== undefined && key >= toByteString(shard.to)
}

/** A key after which a list begins that misses nothing of the shard and little more; `""` for the beginning. */
export function startOfShard(shard: Shard): string {
  if ("index" in shard || shard.from === undefined) return ""
  const characters = Array.from(shard.from)
  const last = characters.pop()?.charCodeAt(0) ?? 0
  const before = characters.join("")
  // S3 begins behind a key, not with it: that just below, which is no key that anybody has, or else a shorter one.
  return last > 0x20 && last < 0x7f ? `${before}${String.fromCharCode(last - 1)}\u{10ffff}` : before
}
