// What lies where, and what that is worth: how many copies of each run, in how many places, what would be lost with a disk, a
// place or the archive, which disk is to be brought up to date next. A pure function over statements and the policy's rules.

import type { HeldRun, MediaRules } from "@backup-cloud/format"
import { runKey } from "./memory.ts"
import { type Medium, restores } from "./statements.ts"

const DAY = 86_400_000

export interface ArchivedRun {
  readonly source: string
  readonly run: string
  /** When its signature arrived. */
  readonly arrived: Date
}

/** One way to restore a run without the archive: these disks together. */
interface Copy {
  readonly disks: readonly string[]
  readonly locations: readonly string[]
}

export interface MediumState {
  readonly medium: Medium
  /** Runs that it restores, alone or with its set. */
  readonly runs: number
  /** Runs of the archive that it does not restore. */
  readonly lacks: number
  /** Days since it was last synced or scrubbed. */
  readonly days: number
  readonly overdue: boolean
}

export interface RunState {
  readonly source: string
  readonly run: string
  /** The archive's own included. */
  readonly copies: number
  readonly locations: number
  readonly offline: number
}

export interface Overview {
  /** Those that are not lost, the one to be plugged in next first. */
  readonly media: readonly MediumState[]
  readonly runs: number
  /** Runs that are on no medium, by age the oldest first. */
  readonly nowhere: readonly RunState[]
  /** Runs older than the rules' age that have too few copies, places or offline copies. */
  readonly failing: readonly RunState[]
  /** Runs that media have and the archive has not. */
  readonly vanished: readonly { readonly source: string; readonly run: string; readonly media: readonly string[] }[]
  /** How many runs would have no offline copy left, by what is gone: `archive`, a medium's id, a place's code. */
  readonly losses: ReadonlyMap<string, number>
}

/**
 * @param archived runs of the archive; none if it is gone
 * @param rules `null` where the policy has none
 * @param expired whether an expiry list names a run: nothing is asked of it any more
 */
export function overview(
  archived: readonly ArchivedRun[],
  media: ReadonlyMap<string, Medium>,
  rules: MediaRules | null,
  now: Date,
  expired: (source: string, run: string) => boolean,
): Overview {
  const living = [...media.values()].filter((medium) => !medium.gone)
  const copies = copiesByRun(living, media)
  const runs = archived.filter(({ source, run }) => !expired(source, run))
  const there = new Set(runs.map(runKey))
  const losses = new Map<string, number>([["archive", 0]])
  const nowhere: RunState[] = []
  const failing: RunState[] = []
  for (const run of [...runs].sort((a, b) => a.arrived.getTime() - b.arrived.getTime())) {
    const offline = copies.get(runKey(run)) ?? []
    countLosses(losses, offline)
    const state = stateOf(run, offline)
    if (offline.length === 0) nowhere.push(state)
    if (rules === null || now.getTime() - run.arrived.getTime() < rules.max_age_days * DAY) continue
    if (state.copies < rules.copies || state.locations < rules.locations || state.offline < rules.offline)
      failing.push(state)
  }
  const vanished = [...copies].flatMap(([key, held]) => {
    const [source = "", run = ""] = key.split(" ")
    if (there.has(key) || expired(source, run)) return []
    return [{ source, run, media: [...new Set(held.flatMap((copy) => copy.disks))] }]
  })
  const states = living.map((medium) => mediumState(medium, media, there, rules, now))
  return { media: states.sort(byNeed), runs: runs.length, nowhere, failing, vanished, losses }
}

/** Copies that share no disk, those of one disk first. */
function copiesByRun(living: readonly Medium[], media: ReadonlyMap<string, Medium>): Map<string, Copy[]> {
  const all = new Map<string, Copy[]>()
  for (const holding of ["alone", "set"] as const)
    for (const medium of living)
      for (const [key, held] of medium.runs) {
        if (held.holding !== holding || !restores(medium, held, media)) continue
        const disks = holding === "alone" ? [medium.id] : [medium.id, ...medium.last.mates]
        const known = all.get(key) ?? []
        if (known.some((copy) => copy.disks.some((disk) => disks.includes(disk)))) continue
        const locations = [...new Set(disks.map((disk) => media.get(disk)?.last.location ?? ""))]
        known.push({ disks, locations })
        all.set(key, known)
      }
  return all
}

function stateOf({ source, run }: ArchivedRun, offline: readonly Copy[]): RunState {
  const places = new Set(offline.map((copy) => copy.locations[0]))
  // The archive is a copy in a place of its own.
  return { source, run, copies: offline.length + 1, locations: places.size + 1, offline: offline.length }
}

function countLosses(losses: Map<string, number>, offline: readonly Copy[]): void {
  const count = (what: string): void => {
    losses.set(what, (losses.get(what) ?? 0) + 1)
  }
  if (offline.length === 0) count("archive")
  const [first, ...others] = offline
  if (first === undefined) return
  for (const disk of first.disks) if (others.every((copy) => copy.disks.includes(disk))) count(disk)
  for (const place of first.locations) if (others.every((copy) => copy.locations.includes(place))) count(place)
}

function mediumState(
  medium: Medium,
  media: ReadonlyMap<string, Medium>,
  archived: ReadonlySet<string>,
  rules: MediaRules | null,
  now: Date,
): MediumState {
  let runs = 0
  let known = 0
  for (const [key, held] of medium.runs) {
    if (!restores(medium, held, media)) continue
    runs++
    if (archived.has(key)) known++
  }
  const seen = [medium.synced, medium.scrubbed].map((time) => (time === null ? 0 : Date.parse(time)))
  const days = (now.getTime() - Math.max(...seen, medium.synced === null ? Date.parse(medium.last.created) : 0)) / DAY
  const overdue = medium.synced === null || (rules !== null && days > rules.max_age_days)
  return { medium, runs, lacks: archived.size - known, days, overdue }
}

/** Never synced first, then by how long it was not seen; a disk that lacks nothing comes last. */
function byNeed(a: MediumState, b: MediumState): number {
  const rank = ({ overdue, lacks }: MediumState): number => (overdue ? 0 : lacks > 0 ? 1 : 2)
  return rank(a) - rank(b) || b.days - a.days
}

/** Ways to restore one run from media, in the order in which their disks are asked for. */
export function waysToRestore(
  run: { readonly source: string; readonly run: string },
  media: ReadonlyMap<string, Medium>,
): { readonly holding: HeldRun["holding"]; readonly disks: readonly string[] }[] {
  const key = runKey(run)
  const late = (a: Medium, b: Medium): number => ((a.synced ?? "") < (b.synced ?? "") ? 1 : -1)
  return [...media.values()].sort(late).flatMap((medium) => {
    const held = medium.runs.get(key)
    if (held === undefined || medium.gone) return []
    const whole = restores(medium, held, media)
    const holding = whole ? held.holding : "part"
    return [{ holding, disks: holding === "set" ? [medium.id, ...medium.last.mates] : [medium.id] }]
  })
}
