// Which run a person means by `latest`, a run id or a date.

import { BackupError, patterns } from "@backup-cloud/format"
import { problemError, worst } from "./problems.ts"
import type { JudgedRun, SourceRuns } from "./runs.ts"

export interface SelectOptions {
  /** Give a run even if something is wrong with it, or if it cannot be told which is the latest. */
  readonly salvage?: boolean
}

/**
 * `latest`: the last `complete` or `partial` run of the chain. A date (`2026-11-20`): the last such run that started on
 * that day or before, in UTC. A run id: that run, whatever its outcome. Runs that expired are not meant by the first two.
 *
 * Throws `usage` for other words, `not-found` if there is no such run, `expired` if it was taken away, and the worst of its
 * problems if it has any.
 */
export function selectRun(runs: SourceRuns, which: string, options: SelectOptions = {}): JudgedRun {
  const found = find(runs, which)
  if (options.salvage === true) {
    if (found !== undefined) return found
    throw missing(runs, which)
  }
  const named = new Set(
    runs.runs.flatMap((run) => run.receipt.previous.map((line) => line.slice(0, line.indexOf(" ")))),
  )
  // A broken run that no other names might be the one that is meant; an older one is then not the answer.
  const meant = runs.broken.find((run) => (patterns.run.test(which) ? run === which : !named.has(run)))
  const doubt = meant === undefined ? null : worst(runs.problems.filter((each) => each.object.includes(meant)))
  const problem = worst([...(found?.problems ?? []), ...(doubt === null ? [] : [doubt])])
  if (problem !== null)
    throw problemError(problem, "run `backup-cloud verify`; choose another run by its id, or salvage what is intact")
  if (found === undefined) throw missing(runs, which)
  if (found.expired !== null) throw expired(found, found.expired)
  return found
}

function find({ runs }: SourceRuns, which: string): JudgedRun | undefined {
  if (patterns.run.test(which)) return runs.find((run) => run.run === which)
  const usable = runs.filter(
    ({ receipt, expired: list }) => list === null && (receipt.outcome === "complete" || receipt.outcome === "partial"),
  )
  if (which === "latest") return usable.at(-1)
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(which))
    throw new BackupError("usage", "a run is named by `latest`, by its id or by a date such as 2026-11-20")
  return usable.findLast((run) => run.receipt.started.slice(0, 10) <= which)
}

function expired({ source, run }: JudgedRun, list: number): BackupError {
  return new BackupError("expired", `${source}@${run}: was taken away by expiry list ${list}`, {
    hint: "choose a run that is kept: `backup-cloud runs` lists them; a disk that was not plugged in since may still have this one",
  })
}

function missing({ source, runs, unfinished }: SourceRuns, which: string): BackupError {
  const last = runs.findLast((run) => run.expired !== null)
  if (last?.expired != null && !patterns.run.test(which)) return expired(last, last.expired)
  const why = unfinished.includes(which) ? "was interrupted before its first commit" : "is not there"
  return new BackupError("not-found", `${source}@${which}: ${why}`, { hint: "`backup-cloud runs` lists what there is" })
}
