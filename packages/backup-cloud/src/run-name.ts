// A run by its name, as people write it: NAME@latest, NAME@<run id> or NAME@2026-11-20.

import { BackupError, escapeControl } from "@backup-cloud/format"
import {
  checkExpiries,
  type JudgedRun,
  rememberRuns,
  type SourceRuns,
  selectRun,
  type Trust,
} from "@backup-cloud/trust"
import type { Machine } from "./machine.ts"

export interface ChosenRun {
  readonly trust: Trust
  readonly all: SourceRuns
  /** Never a failed one; that it is partial or a checkpoint its receipt says. */
  readonly run: JudgedRun
}

/**
 * Finds a run, after its signatures were judged and compared with what this machine remembers. Throws `usage` for what is no
 * name of a run, `refused` for a run that failed, `expired` for one that was taken away, and as loading the trust and choosing do.
 */
export async function findRun(
  machine: Machine,
  name: string,
  options: { readonly salvage?: boolean } = {},
): Promise<ChosenRun> {
  const [source, which, ...rest] = name.split("@")
  if (source === undefined || source === "" || which === undefined || which === "" || rest.length > 0) {
    throw new BackupError("usage", `"${escapeControl(name)}" does not name a run`, {
      hint: "write NAME@latest, NAME@RUN-ID or NAME@2026-11-20; backup-cloud runs lists them",
    })
  }
  const { trust, all } = await knownRuns(machine, source)
  const run = selectRun(all, which, options)
  if (run.receipt.outcome === "failed") {
    throw new BackupError(
      "refused",
      `${source}@${run.run} failed: what it read broke off, and there is nothing to restore`,
      {
        hint: `backup-cloud runs ${source} lists the others; ${source}@latest is the last that ended well`,
      },
    )
  }
  return { trust, all, run }
}

/** The runs of a source, judged and compared with what this machine remembers. */
export async function knownRuns(machine: Machine, source: string): Promise<Pick<ChosenRun, "trust" | "all">> {
  const trust = await machine.trust()
  const all = await machine.runs(trust, source)
  // Before choosing, so that a run that was taken away is an alarm and not merely unknown.
  await rememberRuns(machine.memory, [all])
  checkExpiries(await machine.expiries(trust))
  return { trust, all }
}
