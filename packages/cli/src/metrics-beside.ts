// Numbers of what lies beside the runs: offline disks and drills. Only for the file of metrics, since `media status` and
// `drill --list` say it to people.

import { foldStatements, readStatements } from "@backup-cloud/media"
import type { Trust } from "@backup-cloud/trust"
import { resultsOf } from "./drill-results.ts"
import { knownDisks } from "./media-home.ts"
import type { Metrics } from "./metrics.ts"
import type { Session } from "./session.ts"

/**
 * The last drill of each present source that counts; none of a source without one. Reads no more results than it takes.
 * Throws `refused` where there is no right.
 */
export async function drillMetrics(session: Session, trust: Trust, metrics: Metrics): Promise<void> {
  const present = trust.policy.sources.filter(({ keys }) => keys.at(-1)?.accept_until === "")
  const wanted = new Set(present.map(({ name }) => name))
  if (wanted.size === 0) return
  for await (const { result, why } of resultsOf(session, trust)) {
    if (result === null || why !== null || !wanted.delete(result.source)) continue
    metrics.set("drill_success", result.source, result.outcome === "passed" ? 1 : 0)
    metrics.set("drill_timestamp_seconds", result.source, Date.parse(result.finished) / 1000)
    if (wanted.size === 0) break
  }
}

/** The age of each disk that is not lost, by label where this machine knows it, else by id. Throws as `drillMetrics`. */
export async function mediaMetrics(session: Session, trust: Trust, metrics: Metrics): Promise<void> {
  const { signal, now } = session.io
  const media = foldStatements(await readStatements(trust, [await session.store()], signal))
  const known = await knownDisks(session, trust.archive.archive)
  for (const { id, synced, last, gone } of media.values()) {
    if (gone) continue
    const label = known.find(({ medium }) => medium === id)?.label ?? id
    metrics.set("medium_age_seconds", label, (now().getTime() - Date.parse(synced ?? last.created)) / 1000)
  }
}
