// What planning needs to know of an archive: its runs as they are judged, what there is of them, and what was taken away
// already. Plain data, so that a plan can be made and tested without any archive.

import type { Outcome, RunParts, Use } from "@backup-cloud/format"

export interface RunState {
  readonly source: string
  readonly run: string
  /** Digest of its highest SHA256SUMS; `""` for an orphan: a run without any signature. */
  readonly sums: string
  /** When its highest signature arrived in the store; of an orphan, its newest object. */
  readonly arrived: Date
  readonly outcome: Outcome | "orphan"
  /** False if anything is wrong with it: then it stays, and counts for no rule. */
  readonly sound: boolean
  readonly uses: readonly Use[]
  /** What its receipts list or the store has of it. */
  readonly has: RunParts
  /** What expiry lists took away of it; `null` if none names it. */
  readonly expired: RunParts | null
}

/** The copy below `state/` of a run's catalogue, which only a later backup reads. */
export interface StateFolder {
  readonly run: string
  /** Of its newest object. */
  readonly arrived: Date
}

export interface SourceState {
  readonly source: string
  readonly runs: readonly RunState[]
  /** Below `state/`. */
  readonly states: readonly StateFolder[]
  /** Why nothing of the source may be taken away, in a sentence; `null` if it may. */
  readonly blocked: string | null
}
