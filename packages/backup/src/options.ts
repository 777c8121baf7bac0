// What a backup is given, what it tells meanwhile and what it gives back.

import type { Handed, Outcome, Policy, PolicySource, Source } from "@backup-cloud/format"
import type { Certificate, PassphraseOpener, Sealer, Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import type { SourceRuns } from "@backup-cloud/trust"
import type { Pool } from "./pool.ts"
import type { Flaw } from "./state.ts"

export type BackupEvent =
  | { readonly event: "started"; readonly run: string; readonly since: string | null }
  /** The state of an earlier run can't be used, and that of the run `instead` is: with none, everything is read again. */
  | ({ readonly event: "state"; readonly run: string; readonly instead: string | null } & Flaw)
  | { readonly event: "progress"; readonly entries: number; readonly bytes: number; readonly stored: number }
  | { readonly event: "unread"; readonly path: string; readonly why: string }
  /** What produces the content broke off: the run is committed as `failed`. `why` is for people. */
  | { readonly event: "broke-off"; readonly why: string }
  | { readonly event: "committed"; readonly run: string; readonly number: number; readonly outcome: Outcome }

export interface BackupOptions {
  readonly source: Source
  /** As the policy has it. */
  readonly entry: PolicySource
  readonly policy: Policy
  /** Certificates of all present holders, and of the verifiers of this source. */
  readonly holders: readonly Certificate[]
  /** Judges the runs of this source that there are now. Asked at the start, and again where a run is full and another goes on. */
  readonly earlier: () => Promise<SourceRuns>
  /** The source's secret, 32 bytes. */
  readonly secret: Uint8Array
  readonly reader: ArchiveReader
  readonly writer: ArchiveWriter
  readonly sealer: Sealer
  readonly opener: PassphraseOpener
  readonly signer: Signer
  /** Files that scripts have sealed and no receipt records yet, sorted by `sha256`; this run's receipts do. */
  readonly handed?: readonly Handed[]
  /** Open every volume again before it is stored, not only the first. */
  readonly proveAll: boolean
  /** Started with the same secret (`startWorkers`); closed by whoever started it. */
  readonly pool: Pool
  /** Milliseconds between checkpoints. */
  readonly checkpointEvery: number
  /** What one run may hold; what the format allows unless given. */
  readonly limits?: Partial<Limits>
  readonly now: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly onEvent: (event: BackupEvent) => void
  /** Told to stop: what is done so far is committed as a checkpoint. */
  readonly stop: AbortSignal
  /** Aborts at once; nothing more is committed. */
  readonly signal: AbortSignal
}

export interface Limits {
  /** Bytes of plaintext at which a volume is closed, at least 4 MiB and some: what opens one in memory sets it. */
  readonly volumeBytes: number
  readonly volumes: number
  /** Receipts: checkpoints and the end. */
  readonly commits: number
}

/** Of the last run that was made. */
export interface BackupResult {
  readonly run: string
  readonly number: number
  readonly outcome: Outcome
  readonly entries: number
  readonly bytes: number
  /** Bytes of sealed objects that were stored, by all runs that were made. */
  readonly stored: number
  /** How many entries could not be kept whole, by reason. */
  readonly errors: ReadonlyMap<string, number>
  /** Whether the next run has less to do: content came into the archive, or something was read to its end. */
  readonly advanced: boolean
  /** Of the last complete run, where its state could be read. */
  readonly before: { readonly entries: number; readonly bytes: number } | null
}
