// Which volumes of earlier runs a run may use. At most 16 runs, none older than the horizon, none sealed to fewer or other
// people than today, and as they near the horizon their chunks are stored again, a share each day and never all at once.
// So a restore needs at most 17 private-key operations, and damage or poison reaches no further than the horizon.

import { BackupError, names, type Policy, type PolicySource, parseRunObject } from "@backup-cloud/format"
import type { ArchiveReader } from "@backup-cloud/store"
import { type JudgedRun, verifiersOf } from "@backup-cloud/trust"
import type { Place } from "./chunk-index.ts"

/** Earlier runs that one run may use. */
export const MOST_RUNS = 16
const DAY = 86_400_000
/** Parts of the horizon between which an ageing run's chunks are stored again. */
const AGEING = { from: 2 / 3, to: 0.95 }

/** Whether anything of a run may be used at all. */
export function mayUse(run: JudgedRun, policy: Policy, source: PolicySource, now: Date): boolean {
  const { receipt } = run
  if (run.problems.length > 0 || run.expired !== null) return false
  if (receipt.release !== policy.release || receipt.outcome === "failed") return false
  const recipients = new Set(receipt.recipients)
  const standing = new Map(policy.holders.map((holder) => [holder.fingerprint, holder.status]))
  for (const [fingerprint, status] of standing) if (status === "present" && !recipients.has(fingerprint)) return false
  for (const { fingerprint } of verifiersOf(policy, source.name)) if (!recipients.has(fingerprint)) return false
  for (const recipient of recipients) if (standing.get(recipient) === "leaked") return false
  if (source.fresh_after !== "" && receipt.started < source.fresh_after) return false
  return age(run, now, policy) < 1
}

/** Age as a part of the horizon, by arrival in the store. */
function age(run: JudgedRun, now: Date, policy: Policy): number {
  return (now.getTime() - run.arrived.getTime()) / (policy.rules.horizon_days * DAY)
}

/** The chunks that may be used where they lie. */
export class Reuse {
  readonly #runs = new Map<string, { present: Set<string>; keep: number }>()

  /**
   * Looks which objects are really there, in the recorded length.
   * @param runs those that may be used, the most wanted first; only the first 16 count
   */
  static async open(
    runs: readonly JudgedRun[],
    policy: Policy,
    now: Date,
    source: string,
    reader: ArchiveReader,
    signal: AbortSignal,
  ): Promise<Reuse> {
    const reuse = new Reuse()
    for (const run of runs.slice(0, MOST_RUNS)) {
      const present = new Set<string>()
      const folder = names.runDirectory(source, run.run)
      for await (const object of reader.list(folder, signal)) {
        const base = object.name.slice(folder.length)
        if (run.objects.get(base)?.length === object.size && parseRunObject(base) !== null) present.add(base)
      }
      const ageing = (age(run, now, policy) - AGEING.from) / (AGEING.to - AGEING.from)
      reuse.#runs.set(run.run, { present, keep: 1 - Math.max(0, Math.min(1, ageing)) })
    }
    return reuse
  }

  /** Whether a chunk may be used where it lies. `base` names its volume by number. */
  allows(id: string, place: Place, base: (volume: number) => string): boolean {
    const run = this.#runs.get(place.run)
    if (run === undefined || !run.present.has(base(place.volume))) return false
    // The id is a random number that stays the same, so each chunk has its day.
    return Number.parseInt(id.slice(0, 4), 16) / 65_536 < run.keep
  }
}

/** Fails if a run that was used went beyond the horizon while this one ran. */
export function checkHorizon(used: readonly JudgedRun[], policy: Policy, now: Date): void {
  for (const run of used) {
    if (age(run, now, policy) < 1) continue
    throw new BackupError("conflict", `run ${run.run} became older than the horizon while it was being used`, {
      hint: "run the backup again: it will store what that run holds anew",
    })
  }
}
