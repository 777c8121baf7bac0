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

/**
 * End of the chunk that starts at `start`, where `bytes` is known up to `end`.
 * `-1`: it can't be told without more bytes; if there are none, the chunk ends at `end`.
 * @param table 256 numbers; signed, so that the arithmetic stays in 32-bit integers
 */
export function cutEnd(bytes: Uint8Array, start: number, end: number, table: Int32Array, rule: CutRule): number {
  const most = start + rule.most
  const stop = Math.min(end, most)
  const first = start + rule.least - 1
  let hash = 0
  let i = first - 31
  for (; i < first && i < stop; i++) hash = ((hash << 1) + (table[bytes[i] as number] as number)) | 0
  for (; i < stop; i++) {
    hash = ((hash << 1) + (table[bytes[i] as number] as number)) | 0
    // Below the limit as an unsigned number: not negative as a signed one, since the limit is small.
    if (hash >= 0 && hash < rule.limit) return i + 1
  }
  return stop === most ? most : -1
}
