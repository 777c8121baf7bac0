// Which run is drilled where nobody says, and how old what could be restored is.

import { BackupError } from "@backup-cloud/format"
import type { JudgedRun, SourceRuns } from "@backup-cloud/trust"

/** The runs that may be restored: the complete ones nothing is wrong with; where there are none, the partial ones. */
function restorable({ runs }: SourceRuns): readonly JudgedRun[] {
  const sound = runs.filter((run) => run.problems.length === 0)
  const complete = sound.filter((run) => run.receipt.outcome === "complete")
  return complete.length > 0 ? complete : sound.filter((run) => run.receipt.outcome === "partial")
}

/**
 * One of the runs that may be restored. Throws `not-found` if there is none.
 * @param random 4 random bytes
 * @param recipient fingerprint to which it must be sealed
 */
export function randomRun(all: SourceRuns, random: Uint8Array, recipient?: string): JudgedRun {
  const runs = restorable(all).filter(
    ({ receipt }) => recipient === undefined || receipt.recipients.includes(recipient),
  )
  const run = runs[Buffer.from(random).readUInt32BE(0) % Math.max(1, runs.length)]
  if (run !== undefined) return run
  throw new BackupError(
    "not-found",
    `${all.source} has no run that could be restored${recipient === undefined ? "" : " with this key"}; nothing was drilled`,
    {
      hint: `backup-cloud runs ${all.source} lists what there is`,
    },
  )
}

/** When the newest run that is complete or partial began; the first moment there is where none is. */
export function newestStart({ runs }: SourceRuns): Date {
  const last = runs.findLast(({ receipt }) => receipt.outcome === "complete" || receipt.outcome === "partial")
  return new Date(last?.receipt.started ?? 0)
}
