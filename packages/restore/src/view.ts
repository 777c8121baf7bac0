// What a restore reads from: one run and the earlier runs it uses, all judged already, and the capabilities to fetch and
// open their objects. A chunk may lie only where the receipt says that this run looks.

import { BackupError, names, type ObjectRecord, parseRanges, type Receipt } from "@backup-cloud/format"
import type { PassphraseOpener } from "@backup-cloud/openpgp"
import type { ArchiveReader } from "@backup-cloud/store"
import type { Erasing } from "./erasing.ts"

/** A run whose signatures, sums and receipts count, as `readRuns` of the package trust gives it. */
export interface RunView {
  readonly source: string
  readonly run: string
  /** The highest valid number. */
  readonly number: number
  /** The one of that number. */
  readonly receipt: Receipt
  /** Of all its receipts together, by base name. */
  readonly objects: ReadonlyMap<string, ObjectRecord>
  /** Every valid number from 1 up, with the digests of its sums and of their signature. */
  readonly commits: readonly { readonly number: number; readonly sums: string; readonly signature: string }[]
}

/**
 * The runs that `run` uses, by id. Throws `tampered` if one of them is not there in the state that `run` relied on; when
 * salvaging, it is left out instead, and what lies in it is lost.
 */
export function usedRuns(run: RunView, all: readonly RunView[], salvage = false): Map<string, RunView> {
  const found = new Map<string, RunView>()
  for (const use of run.receipt.uses) {
    const other = all.find((each) => each.run === use.run && each.commits.some((c) => c.sums === use.sums))
    if (other !== undefined) found.set(use.run, other)
    else if (!salvage)
      throw new BackupError(
        "tampered",
        `${names.runDirectory(run.source, use.run)}: ${run.run} uses it, and it is not there as it was`,
      )
  }
  return found
}

/** What releases open, and nothing else. */
export interface Secrets {
  /** The passphrase of the object `base` of `run`; `null` if no release opens it. */
  passphraseFor(run: string, base: string): string | null
}

export interface RunReader {
  readonly reader: ArchiveReader
  readonly opener: PassphraseOpener
  readonly secrets: Secrets
  /** What of the run must not come back (`erasingFor`). */
  readonly erasing: Erasing
  /** The run to restore. */
  readonly run: RunView
  /** By run id; at least those that the receipt's `uses` names. */
  readonly runs: ReadonlyMap<string, RunView>
}

/** An object that must be fetched: where it lies and what it must be. */
export interface Located {
  readonly run: string
  readonly base: string
  /** Within the archive. */
  readonly name: string
  readonly record: ObjectRecord
}

/** Finds a volume that the catalogue names. Throws `tampered` if the receipt does not say that the run uses it. */
export function locate(view: RunReader, kind: "volume" | "catalogue", run: string, number: number): Located {
  const base = names[kind](number)
  if (run !== view.run.run) {
    const use = view.run.receipt.uses.find((u) => u.run === run)
    const spans = parseRanges((kind === "volume" ? use?.volumes : use?.catalogues) ?? "") ?? []
    if (!spans.some(([first, last]) => first <= number && number <= last)) return unnamed(view, run, base)
  }
  return locateBase(view, run, base)
}

/** As `locate`, by base name. */
export function locateBase(view: Pick<RunReader, "run" | "runs">, run: string, base: string): Located {
  const of = run === view.run.run ? view.run : view.runs.get(run)
  const record = of?.objects.get(base)
  if (of === undefined || record === undefined) return unnamed(view, run, base)
  return { run, base, name: `${names.runDirectory(of.source, run)}${base}`, record }
}

function unnamed(view: Pick<RunReader, "run">, run: string, base: string): never {
  throw new BackupError(
    "tampered",
    `${run}/${base}: the receipt of ${view.run.run} does not name it, and its data does`,
  )
}
