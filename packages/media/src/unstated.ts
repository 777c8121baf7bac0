// The runs of an archive for an overview: those that a statement lists were judged when they were copied, so only the others
// are judged now. What anybody could have put there counts for nothing.

import type { ArchiveReader } from "@backup-cloud/store"
import { judgeRuns, type ListedRun, type Problem, type Trust } from "@backup-cloud/trust"
import { runKey } from "./memory.ts"
import type { ArchivedRun } from "./overview.ts"
import type { Medium } from "./statements.ts"
import { highest, survey } from "./survey.ts"

const WIDTH = 8

export async function unstated(
  trust: Trust,
  reader: ArchiveReader,
  media: ReadonlyMap<string, Medium>,
  signal: AbortSignal,
): Promise<{ readonly runs: readonly ArchivedRun[]; readonly problems: readonly Problem[] }> {
  const runs: ArchivedRun[] = []
  const problems: Problem[] = []
  const unknown = new Map<string, Map<string, ListedRun>>()
  for (const [key, run] of await survey(reader, signal)) {
    if (run.arrived.size === 0) continue
    const { source, arrived } = run
    if ([...media.values()].some((medium) => !medium.gone && medium.runs.has(key)))
      runs.push({ source, run: run.run, arrived: arrived.get(highest(run)) ?? new Date(0) })
    else unknown.set(source, (unknown.get(source) ?? new Map<string, ListedRun>()).set(run.run, run))
  }
  for (const [source, listed] of unknown) {
    // Those that a statement lists are there.
    const elsewhere = (run: string): boolean => !listed.has(run)
    const found = await judgeRuns(trust, reader, source, listed, signal, { width: WIDTH, elsewhere })
    problems.push(...found.problems)
    for (const { run, arrived } of found.runs) if (listed.has(run)) runs.push({ source, run, arrived })
  }
  return { runs: runs.sort((a, b) => (runKey(a) < runKey(b) ? -1 : 1)), problems }
}
