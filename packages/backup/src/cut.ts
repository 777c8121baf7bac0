// Where chunks end (docs/format.md, section 6). The hash of the last 32 bytes decides, so after an insertion the cuts fall
// where they fell before, and the table is secret, so that the lengths of chunks tell nothing of known content.

export interface CutRule {
  /** Bytes. */
  readonly least: number
  readonly most: number
  /** A chunk ends where the hash is below this. */
  readonly limit: number
}

export const contentRule: CutRule = { least: 262_144, most: 4_194_304, limit: 5_461 }
export const catalogueRule: CutRule = { least: 65_536, most: 1_048_576, limit: 21_845 }

/** Bytes that the hash depends on: older ones have been shifted out of its 32 bits. */
const WINDOW = 32
/** Bytes that one call of `firstBelow` looks at. Calls so short are many, and only what is called often is compiled well: in
 * one call a chunk, the same loop ran at a fifth of the speed. */
const STEP = 4_096

/**
 * End of the chunk that starts at `start`, where `bytes` is known up to `end`.
 * `-1`: it can't be told without more bytes; if there are none, the chunk ends at `end`.
 * @param table 256 numbers; signed, so that the arithmetic stays in 32-bit integers
 */
export function cutEnd(bytes: Uint8Array, start: number, end: number, table: Int32Array, rule: CutRule): number {
  const most = start + rule.most
  const stop = Math.min(end, most)
  for (let at = start + rule.least - 1; at < stop; at += STEP) {
    const found = firstBelow(bytes, at, Math.min(at + STEP, stop), table, rule.limit)
    if (found >= 0) return found + 1
  }
  return stop === most ? most : -1
}

/** The first position from `at` on, before `stop`, where the hash is below `limit`; `-1` if there is none. */
function firstBelow(bytes: Uint8Array, at: number, stop: number, table: Int32Array, limit: number): number {
  let hash = 0
  for (let i = at - WINDOW + 1; i < at; i++) hash = ((hash << 1) + (table[bytes[i] as number] as number)) | 0
  for (let i = at; i < stop; i++) {
    hash = ((hash << 1) + (table[bytes[i] as number] as number)) | 0
    if (hash >>> 0 < limit) return i
  }
  return -1
}
