// What every kind of target is: the way back of a source. Restore verifies, then hands over; nothing it hands over is
// unverified but for whole-file digests, which `commit` waits for. Paths are byte strings, as in the catalogue.

import type { CatalogueEntry } from "./catalogue.ts"

/** An entry that could not be written as it was, and why, for the report. */
export interface TargetProblem {
  readonly path: string
  readonly why: string
}

export interface Target {
  /** Checks the place (empty, or told to go into an existing one) and makes the staging folder inside it. */
  begin(signal: AbortSignal): Promise<void>
  /** Whether an entry of an earlier, interrupted restore is already in place, whole: then it is not written again. */
  has(entry: CatalogueEntry, signal: AbortSignal): Promise<boolean>
  /** Stages bytes of a regular file's content at `offset`. May come in any order, also concurrently. */
  write(entry: CatalogueEntry, offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** Reads staged content back, where the digest could not be taken while writing in order. */
  read(entry: CatalogueEntry, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** The staged content is whole and its digest matched: give it its name. Also for empty files. */
  commit(entry: CatalogueEntry, signal: AbortSignal): Promise<void>
  /** Makes an entry that has no content: directory, link, fifo, socket, device. Parents come before children. */
  make(entry: CatalogueEntry, signal: AbortSignal): Promise<void>
  /** Sets what had to wait (times and modes of directories), removes staging. Nothing counts as restored before. */
  finish(signal: AbortSignal): Promise<readonly TargetProblem[]>
}
