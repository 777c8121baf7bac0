// In which runs erased data still lies, and until when. Without a release nobody knows what a run holds: then every run of the
// source that the record is about may hold it. With one, the run's catalogue says how many entries it is.

import { type Erasure, escapeControl, isFault, timeText } from "@backup-cloud/format"
import { foldStatements, readStatements } from "@backup-cloud/media"
import { concerns, Erasing } from "@backup-cloud/restore"
import { keepReasons, provedKey, type Reason, type RuledRun } from "@backup-cloud/retention"
import type { Expiries, JudgedRun, Trust } from "@backup-cloud/trust"
import { openReleased } from "backup-cloud/parts/releases"
import { provedRuns } from "./drill-results.ts"
import { knownDisks, shownDisk } from "./media-home.ts"
import { listOf } from "./options.ts"
import type { Session } from "./session.ts"

interface LyingRun {
  readonly run: string
  /** Entries that the record names; `null` where no release tells. */
  readonly entries: number | null
  /** Until when the run is kept, in words. */
  readonly kept: string
}

/** A medium as people know it, and the ids of the runs that it holds. */
interface MediumRuns {
  readonly medium: string
  readonly runs: readonly string[]
}

export interface Lying {
  readonly runs: readonly LyingRun[]
  /** Which media hold which of these runs. */
  readonly media: readonly MediumRuns[]
}

/** For each record the runs that hold, or may hold, what it names, and the media that hold those. */
export async function whereItLies(
  session: Session,
  trust: Trust,
  records: readonly Erasure[],
  options: Readonly<Record<string, unknown>>,
): Promise<ReadonlyMap<Erasure, Lying>> {
  const found = new Map<Erasure, Lying>()
  if (records.length === 0) return found
  const proved = await provedRuns(session, trust)
  const expiries = await session.expiries(trust)
  const media = await readMedia(session, trust)
  for (const record of records) {
    const all = await session.runs(trust, record.source)
    const kept = keepReasons({
      ...{ policy: trust.policy, source: record.source, now: session.io.now() },
      runs: all.runs.map((run) => ruled(run, expiries)),
      proved: (run) => proved.has(provedKey(run)),
    })
    const runs: LyingRun[] = []
    for (const run of all.runs) {
      if (run.receipt.outcome === "failed" || !concerns(record, run)) continue
      const entries =
        run.expired === null ? await entriesIn(session, { trust, all, run }, record, listOf(options, "release")) : null
      if (entries !== 0) runs.push({ run: run.run, entries, kept: keptWords(run, kept.get(run.run) ?? []) })
    }
    found.set(record, { runs, media: mediaWith(runs, media.get(record.source) ?? []) })
  }
  return found
}

function ruled(run: JudgedRun, expiries: Expiries): RuledRun {
  return {
    ...{ source: run.source, run: run.run, sums: run.sumsDigest, arrived: run.arrived, outcome: run.receipt.outcome },
    ...{ sound: run.problems.length === 0, expired: expiries.find(run.source, run.run)?.parts ?? null },
  }
}

/** What statements say of the runs of each source, lost and destroyed media left out. */
async function readMedia(session: Session, trust: Trust): Promise<ReadonlyMap<string, readonly MediumRuns[]>> {
  const known = await knownDisks(session, trust.archive.archive)
  const media = foldStatements(await readStatements(trust, [await session.store()], session.io.signal))
  const found = new Map<string, MediumRuns[]>()
  for (const medium of media.values()) {
    if (medium.gone) continue
    const held = [...medium.runs.values()].filter((run) => run.holding !== "none")
    for (const [source, runs] of Map.groupBy(held, (run) => run.source)) {
      const entry = { medium: shownDisk(medium, known), runs: runs.map(({ run }) => run) }
      found.set(source, [...(found.get(source) ?? []), entry])
    }
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

/** What lists and rules say of how long a run stays. */
function keptWords({ expired }: JudgedRun, reasons: readonly Reason[]): string {
  if (expired !== null) return `taken away by expiry list ${expired}, but for what other runs use of it or a lock keeps`
  const open = reasons.filter(({ until }) => until === null)
  if (open.length > 0) return `kept with no date: ${open.map(({ why }) => escapeControl(why)).join(", ")}`
  const last = reasons.reduce((latest, { until }) => Math.max(latest, until?.getTime() ?? 0), 0)
  return last === 0 ? "kept by no rule: the next expiry takes it" : `kept until ${timeText(new Date(last))}`
}

export function describeLying({ runs, media }: Lying): string[] {
  if (runs.length === 0) return ["  no run holds it"]
  return [
    ...runs.map(({ run, entries, kept }) => {
      const what = entries === null ? "may lie in" : `${entries} ${entries === 1 ? "entry lies" : "entries lie"} in`
      return `  ${what} run ${run}, ${kept}`
    }),
    ...media.map((each) => `  ${each.medium} holds ${each.runs.join(", ")}`),
  ]
}
