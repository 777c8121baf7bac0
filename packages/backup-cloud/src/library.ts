// The four functions for programs. Each makes what it needs, cleans up behind itself, and returns only when all is well:
// a run that lacks something, an archive that is not as it was signed and a restore that is not whole are errors, with what
// was done nevertheless in `result`.

import { randomBytes } from "node:crypto"
import { resolve } from "node:path"
import type { BackupResult } from "@backup-cloud/backup"
import type { DrillEvent } from "@backup-cloud/drill"
import { BackupError, type DrillResult, type Fault, type Outcome, type Source, type Target } from "@backup-cloud/format"
import { type LeftOut, type RestoreEvent, type RestoreResult, restore as run, type Wanted } from "@backup-cloud/restore"
import type { Environment } from "@backup-cloud/store"
import type { VerifyEvent, VerifyReport } from "@backup-cloud/trust"
import { backupSource, type SourceEvent } from "./backup.ts"
import { checked } from "./checked.ts"
import { chooseForDrill, type DrillJob, drillRun } from "./drill.ts"
import { Machine } from "./machine.ts"
import { openReleased } from "./releases.ts"
import { chosenName, planOf, shortfall } from "./restore.ts"
import { findRun } from "./run-name.ts"
import { gravest, verifyWhole } from "./verify.ts"

export interface ArchiveOptions {
  /** `/path`, `s3://bucket/prefix` or `ssm:/base/path`. */
  readonly archive: string
  /** The folder that `backup-cloud trust` and `source keygen` write: BACKUP_CLOUD_HOME, or else ~/.config/backup-cloud. */
  readonly home: string
  /**
   * GNUPGHOME (an operator's keyring) and what AWS needs, by the names of environment variables; for what is not given
   * gpg and the AWS SDK look themselves.
   */
  readonly env?: Environment
  /** Aborts at once; what is not committed is as if it had not been. */
  readonly signal?: AbortSignal
}

export interface BackupCall extends ArchiveOptions {
  /** Of the source in the policy, whose keys lie in the home. */
  readonly name: string
  readonly source: Source
  /** Told to stop: what is done so far is committed as a checkpoint. */
  readonly stop?: AbortSignal
  readonly checkpointMinutes?: number
  /** Open every volume again before it is stored, not only the first. */
  readonly proveAll?: boolean
  readonly onEvent?: (event: SourceEvent) => void
}

export interface VerifyCall extends ArchiveOptions {
  /** Presence and length only. */
  readonly quick?: boolean
  readonly onEvent?: (event: VerifyEvent) => void
}

export interface RestoreCall extends ArchiveOptions {
  /** `notes@latest`, `notes@<run id>` or `notes@2026-11-20`. */
  readonly run: string
  /** Files with what key holders answered. */
  readonly releases: readonly string[]
  readonly target: Target
  /** What to restore; everything unless given. `globs` of the directory source makes one. */
  readonly wanted?: Wanted
  /** Fingerprint of the operator's key; the one that is in the keyring unless given. */
  readonly key?: string
  /** Read every file again after writing and compare it. */
  readonly verify?: boolean
  /** Bring what is intact of a damaged archive. */
  readonly salvage?: boolean
  /** Bring back what was erased too; the releases must say so. */
  readonly withoutErasures?: boolean
  readonly onEvent?: (event: RestoreEvent) => void
}

export interface DrillCall extends ArchiveOptions, Pick<DrillJob, "scratch" | "target" | "check" | "load"> {
  /** As of a restore, or the name of a source alone: then it is one of its runs, chosen at random. */
  readonly run: string
  /** Files with what key holders answered; `verifier` is for a machine whose own key opens the source. */
  readonly releases: readonly string[] | "verifier"
  /** Fingerprint of the operator's or verifier's key; the one that is in the keyring unless given. */
  readonly key?: string
  /** Whether `target` gives files their owners. */
  readonly owner?: boolean
  readonly onEvent?: (event: DrillEvent) => void
}

export interface RestoredRun extends RestoreResult {
  /** Id of the run that `run` named. */
  readonly run: string
  /** `partial` and `checkpoint` runs lack something already, which no restore brings back. */
  readonly outcome: Outcome
  /** What a run lacks, as its receipt has it: `<reason> <count>`. */
  readonly lacks: readonly string[]
  /** What erasures kept from coming back; no fault. */
  readonly leftOut: LeftOut
}

/** Something was done, and it is not all that was asked for. */
export class NotWholeError<Result> extends BackupError {
  readonly result: Result

  constructor(fault: Fault, message: string, options: { readonly hint?: string; readonly result: Result }) {
    super(fault, message, options)
    this.result = options.result
  }
}

const NEVER = new AbortController().signal
const ignore = (): void => undefined

function machineFor({ archive, home, env = {}, signal = NEVER }: ArchiveOptions): Machine {
  return new Machine({
    ...{ archive, home: resolve(home), env, cwd: resolve("."), signal },
    archiveHint: "name one in `archive`",
    now: () => new Date(),
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
  })
}

/**
 * Backs up a source of any kind. A run that is not `complete` is kept and throws `incomplete`, a `NotWholeError`; entries that no
 * catalogue can hold throw `usage`; for other faults see `backupSource` and the source itself.
 */
export async function backup(call: BackupCall): Promise<BackupResult> {
  const { name, source, stop = NEVER, onEvent = ignore, checkpointMinutes, proveAll } = call
  await using machine = machineFor(call)
  const trust = await machine.trust({ strict: true })
  const job = { name, source: async () => checked(source), stop, onEvent, checkpointMinutes, proveAll }
  const result = await backupSource(machine, trust, job)
  if (result.outcome === "complete") return result
  const lacks = [...result.errors].map(([why, count]) => `${why} ${count}`).join(", ")
  const hint = "its `result` says which run it is; a partial one can be restored, and a checkpoint as far as it came"
  throw new NotWholeError(
    "incomplete",
    `the backup of ${name} is ${result.outcome}${lacks === "" ? "" : `: ${lacks}`}`,
    {
      ...{ hint, result },
    },
  )
}

/** Reads everything and checks every signature. Throws the gravest of the problems, a `NotWholeError`, if there is one. */
export async function verify(call: VerifyCall): Promise<VerifyReport> {
  await using machine = machineFor(call)
  const { quick, onEvent = ignore, signal = NEVER } = call
  const result = await verifyWhole(machine, await machine.trust(), { quick, onEvent, signal })
  const worst = gravest(result, call.archive)
  if (worst === null) return result
  throw new NotWholeError(worst.fault, worst.message, { hint: worst.hint ?? "", result })
}

/**
 * Brings a run back. Throws `refused` where the releases do not open what is wanted, before anything is written; `incomplete`, a
 * `NotWholeError`, if something could not be brought back as it was; and as releases, catalogue, volumes and the target do.
 */
export async function restore(call: RestoreCall): Promise<RestoredRun> {
  const { releases: files, key, salvage = false, withoutErasures = false, target } = call
  const { wanted = null, onEvent = ignore, signal = NEVER } = call
  await using machine = machineFor(call)
  const chosen = await findRun(machine, call.run, { salvage })
  const open = await openReleased(machine, chosen, { files, key, salvage, withoutErasures })
  const plan = await planOf(open, call.run, wanted)
  const what = chosenName(open, plan, wanted)
  const verify = call.verify ?? false
  const done = await run({ view: open.view, plan, target, what, salvage, verify, onEvent, signal })
  const { outcome, errors: lacks } = open.run.receipt
  const result = { ...done, run: open.run.run, outcome, lacks, leftOut: open.view.erasing.leftOut }
  const { all } = shortfall(open, done)
  if (all === 0) return result
  const hint = "its `result` lists them; look for damaged objects on another copy of the archive"
  throw new NotWholeError("incomplete", `${all} things of ${call.run} could not be restored`, { hint, result })
}

/**
 * Restores a run for practice. The signed result is in the archive also if it failed, which throws what it failed by, a
 * `NotWholeError`; what says nothing about the archive throws as `drill` of the package drill, and leaves no result.
 */
export async function drill(call: DrillCall): Promise<DrillResult> {
  const { run, releases, key, owner = false, onEvent = ignore, signal = NEVER, ...asked } = call
  await using machine = machineFor(call)
  const opened =
    releases === "verifier" ? ({ by: "verifier", key } as const) : ({ by: "release", files: releases, key } as const)
  const chosen = run.includes("@") ? await findRun(machine, run) : await chooseForDrill(machine, run, opened)
  const { fault, result } = await drillRun(machine, chosen, { ...asked, opened, owner, onEvent, signal })
  if (fault === null) return result
  throw new NotWholeError(fault, `the drill of ${run} failed: ${result.reason}`, { result })
}
