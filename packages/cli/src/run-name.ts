// RUN on the command line: NAME@latest, NAME@<run id> or NAME@2026-11-20.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { type JudgedRun, rememberRuns, type SourceRuns, selectRun, type Trust } from "@backup-cloud/trust"
import type { Session } from "./session.ts"

export interface ChosenRun {
  readonly trust: Trust
  readonly all: SourceRuns
  readonly run: JudgedRun
}

/** Finds a run, after its signatures were judged and compared with what this machine remembers. */
export async function chooseRun(
  session: Session,
  name: string,
  options: { readonly salvage?: boolean } = {},
): Promise<ChosenRun> {
  const [source, which, ...rest] = name.split("@")
  if (source === undefined || source === "" || which === undefined || which === "" || rest.length > 0) {
    throw new BackupError("usage", `"${escapeControl(name)}" does not name a run`, {
      hint: "write NAME@latest, NAME@RUN-ID or NAME@2026-11-20; backup-cloud runs lists them",
    })
  }
  const trust = await session.trust()
  const all = await session.runs(trust, source)
  // Before choosing, so that a run that was taken away is an alarm and not merely unknown.
  await rememberRuns(session.memory, [all])
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
  if (run.receipt.outcome !== "complete") {
    session.note(
      `WARNING: ${source}@${run.run} is ${run.receipt.outcome}: it lacks ${run.receipt.errors.join(", ") || "what came after the interruption"}.`,
    )
  }
  return { trust, all, run }
}
