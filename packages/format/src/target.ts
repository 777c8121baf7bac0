// What every kind of target is: the way back of a source. Restore verifies, then hands over; nothing it hands over is
// unverified but for whole-file digests, which `commit` waits for. Paths are byte strings, as in the catalogue.
//
// Faults: `conflict` where something else is in the way, `refused` where an entry would reach outside or a right is
// missing, `unavailable` where the place cannot be written (full, read-only).

import type { CatalogueEntry } from "./catalogue.ts"
import type { SqlErasure } from "./erasure.ts"

/** An entry that could not be written as it was, and why, for the report. */
export interface TargetProblem {
  readonly path: string
  readonly why: string
  /** True for what was not asked for (devices, set-id bits) or nobody can bring back (sockets): no failure. */
  readonly expected: boolean
}

export interface Target {
  /**
   * Checks the place (empty, or told to go into an existing one) and makes the staging folder inside it.
   * @param what names what is restored, any text: an interrupted restore of the same is gone on with
   */
  begin(what: string, signal: AbortSignal): Promise<void>
  /**
   * Whether a regular file is already in place with exactly this content, of an earlier, interrupted restore: then it is
   * not written again, and gets its mode, owner and times now. Throws `conflict` if something else has its name.
   */
  has(entry: CatalogueEntry, signal: AbortSignal): Promise<boolean>
  /** Stages bytes of a regular file's content at `offset`. May come in any order, also concurrently. */
  write(entry: CatalogueEntry, offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** Reads back a regular file's content: the staged one before `commit`, what has the name after. */
  read(entry: CatalogueEntry, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** The staged content is whole and its digest matched: give it its name. Also for empty files. */
  commit(entry: CatalogueEntry, signal: AbortSignal): Promise<void>
  /** Drops what was staged of a file that will not become whole. */
  discard(entry: CatalogueEntry): Promise<void>
  /**
   * Makes an entry that has no content: directory, link, fifo, socket, device. Parents come before children, and what a
   * hard link names before the link.
   */
  make(entry: CatalogueEntry, signal: AbortSignal): Promise<void>
  /** Sets what had to wait (times and modes of directories), removes staging. Nothing counts as restored before. */
  finish(signal: AbortSignal): Promise<readonly TargetProblem[]>
}

/** A target that can hold databases, and see to it that what was erased from them goes again. */
export interface ErasingTarget extends Target {
  /**
   * Called once all entries were made, committed or discarded, before `finish`. `ran`: the SQL was run in the database;
   * `written`: it lies beside the data in the file that `erasureFile` names, and somebody must run it; `apart`: the
   * database was not restored. Throws if it could not be done: then the restore has failed.
   */
  erase(erasure: SqlErasure, signal: AbortSignal): Promise<"ran" | "written" | "apart">
}

/** Name of the file in which the SQL of an erasure lies beside what was restored. */
export const erasureFile = (number: number): string => `ERASE-${String(number).padStart(6, "0")}.sql`

export function canErase(target: Target): target is ErasingTarget {
  return "erase" in target && typeof target.erase === "function"
}
