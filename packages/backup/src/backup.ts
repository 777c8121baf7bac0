// A backup: one run, or several where one can't hold all.

import { BackupError } from "@backup-cloud/format"
import type { BackupOptions, BackupResult } from "./options.ts"
import { Run } from "./run.ts"

/**
 * Makes one run, or, where the tree holds more than a run can, several, each of which goes on from the one before. Throws as
 * its parts do, and says what is committed; what is not is as if it had not been.
 */
export async function backup(options: BackupOptions): Promise<BackupResult> {
  if (options.policy.release !== "any") {
    throw new BackupError(
      "refused",
      "the policy's release rule is not one that this version can back up under; nothing was read",
    )
  }
  if (options.holders.length === 0) {
    throw new BackupError("refused", "the policy names no present key holder; nothing was backed up", {
      hint: "enrol one: backup-cloud holder add FILE",
    })
  }
  let stored = 0
  let advanced = false
  for (let before: Run | null = null; ; ) {
    const run = new Run(options, await options.earlier())
    const result = await run.make()
    stored += result.stored
    advanced ||= result.advanced
    if (!run.isFull || options.stop.aborted) return { ...result, stored, advanced }
    if (before !== null && run.reached <= before.reached) throw noProgress(result.run)
    before = run
  }
}

/** Runs that get no further would follow each other without end. */
function noProgress(run: string): BackupError {
  return new BackupError(
    "unavailable",
    `run ${run} is full and got no further than the one before; it is a checkpoint`,
    {
      hint: "what is read changes faster than it is stored: back up a snapshot of it, or make several sources of it",
    },
  )
}
