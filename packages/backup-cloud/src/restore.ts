// What both the command and the library do around a restore: plan it, name it, count what did not come back.

import { createHash } from "node:crypto"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { planRestore, type RestorePlan, type RestoreResult, type Wanted } from "@backup-cloud/restore"
import type { OpenRun } from "./releases.ts"

/** Throws `not-found` if nothing is chosen, and as the catalogue does. @param name of the run, as it was given */
export async function planOf(open: OpenRun, name: string, wanted: Wanted | null): Promise<RestorePlan> {
  const plan = await planRestore(() => open.entries(), wanted)
  if (plan.entries.length > 0) return plan
  const { entries } = open.view.erasing.leftOut
  if (entries > 0)
    throw new BackupError(
      "not-found",
      `nothing that may come back of ${escapeControl(name)} matches: erasures leave ${entries} entries out; nothing was restored`,
      { hint: "backup-cloud erase list says what must not come back, and why" },
    )
  throw new BackupError("not-found", `nothing in ${escapeControl(name)} matches; nothing was restored`)
}

/** Names a restore of what was chosen by other means than words, so that only the same one is gone on with. */
export function chosenName(open: OpenRun, plan: RestorePlan, wanted: Wanted | null): string {
  if (wanted === null) return restoreName(open, [])
  const digest = createHash("sha256")
  for (const { path } of plan.entries) digest.update(`${path}\0`, "latin1")
  return restoreName(open, [digest.digest("hex")])
}

/** Names a restore: what another record of what must not come back was left out of is another one. */
export function restoreName(open: OpenRun, chosen: readonly string[]): string {
  const { numbers } = open.view.erasing
  return JSON.stringify([open.run.run, chosen, ...(numbers.length > 0 ? [numbers] : [])])
}

/** How much is not as it was backed up: in all, and what of that the target could not make. */
export function shortfall(open: OpenRun, { lost, problems }: RestoreResult): { all: number; unmade: number } {
  const unmade = problems.filter((problem) => !problem.expected).length
  return { all: lost.length + unmade + open.holes.size, unmade }
}
