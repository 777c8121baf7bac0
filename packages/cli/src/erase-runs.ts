// In which runs erased data still lies, and until when. Without a release nobody knows what a run holds: then every run of the
// source that the record is about may hold it. With one, the run's catalogue says how many entries it is.

import { type Erasure, isFault, type Policy } from "@backup-cloud/format"
import { concerns, Erasing } from "@backup-cloud/restore"
import type { JudgedRun, Trust } from "@backup-cloud/trust"
import { openReleased } from "backup-cloud/parts"
import { listOf } from "./options.ts"
import type { Session } from "./session.ts"

interface LyingRun {
  readonly run: string
  /** Entries that the record names; `null` where no release tells. */
  readonly entries: number | null
  /** Until when the run is kept, in words. */
  readonly kept: string
}

/** A medium by its label or code, and the ids of the runs that it holds. */
export interface MediumRuns {
  readonly medium: string
  readonly runs: readonly string[]
}

export interface Lying {
  readonly runs: readonly LyingRun[]
  /** Which media hold which of these runs. */
  readonly media: readonly MediumRuns[]
}

/** For each record the runs that hold, or may hold, what it names. @param media all that is known of what lies where */
export async function whereItLies(
  session: Session,
  trust: Trust,
  records: readonly Erasure[],
  options: Readonly<Record<string, unknown>>,
  media: readonly MediumRuns[] = [],
): Promise<ReadonlyMap<Erasure, Lying>> {
  const found = new Map<Erasure, Lying>()
  for (const record of records) {
    const all = await session.runs(trust, record.source)
    const runs: LyingRun[] = []
    for (const run of all.runs) {
      if (run.receipt.outcome === "failed" || !concerns(record, run)) continue
      const entries = await entriesIn(session, { trust, all, run }, record, listOf(options, "release"))
      if (entries !== 0) runs.push({ run: run.run, entries, kept: keptUntil(trust.policy, run) })
    }
    found.set(record, { runs, media: mediaWith(runs, media) })
  }
  return found
}

function mediaWith(lying: readonly LyingRun[], media: readonly MediumRuns[]): MediumRuns[] {
  const ids = new Set(lying.map(({ run }) => run))
  return media
    .map(({ medium, runs }) => ({ medium, runs: runs.filter((run) => ids.has(run)) }))
    .filter(({ runs }) => runs.length > 0)
}

/** How many entries of the run the record names; `null` if no release opens its catalogue. A record of SQL alone may be in any. */
async function entriesIn(
  session: Session,
  chosen: Parameters<typeof openReleased>[1],
  record: Erasure,
  files: readonly string[],
): Promise<number | null> {
  if (record.sql !== "") return null
  for (const file of files) {
    try {
      const open = await openReleased(session, chosen, { files: [file] })
      let entries = 0
      for await (const { number } of new Erasing([record]).judged(() => open.everything())) if (number > 0) entries++
      return entries
    } catch (error) {
      // Of another run, or without the catalogue of this one.
      if (!isFault(error, "refused")) throw error
    }
  }
  return null
}

/** What the policy says of how long a run stays. */
function keptUntil({ keep = [], holds = [] }: Policy, { source, run }: JudgedRun): string {
  const held = holds.filter((hold) => hold.source === source && (hold.run === "" || hold.run === run))
  if (held.some(({ until }) => until === "")) return "kept for ever: it is held"
  const until = held
    .map((hold) => hold.until)
    .sort()
    .at(-1)
  const rules = keep.some((rule) => rule.source === source)
    ? "as long as the policy's rules keep it"
    : "kept until somebody expires it: the policy has no rule for its source"
  return until === undefined ? rules : `held until ${until}, then ${rules}`
}

export function describeLying({ runs, media }: Lying): string[] {
  if (runs.length === 0) return ["  no run holds it"]
  return [
    ...runs.map(({ run, entries, kept }) => {
      const what = entries === null ? "may lie in" : `${entries} ${entries === 1 ? "entry lies" : "entries lie"} in`
      return `  ${what} run ${run}, ${kept}`
    }),
    ...media.map((each) => `  medium ${each.medium} holds ${each.runs.join(", ")}`),
  ]
}
