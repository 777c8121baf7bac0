// Which runs of one source a keep rule and holds keep, why, and until when. All times are those of arrival in the store;
// what a run says of its own time counts for nothing.
//
// A thief of the source's credentials can sign any number of runs, so none may push out a good one while it is fresh: a
// run counts only once it is settled, periods are those of the calendar and not of the runs, the first run of a period
// stays, and `last` and `minimum` take one run a day as long as there are enough days.

import type { Hold, KeepRule, Policy } from "@backup-cloud/format"
import type { RunState } from "./state.ts"

export const DAY = 86_400_000

/** What rules look at of a run. */
export type RuledRun = Pick<RunState, "source" | "run" | "sums" | "arrived" | "outcome" | "sound" | "expired">

export interface Reason {
  /** In a few words, for people. */
  readonly why: string
  /** When it ends, by what is known now; `null` where no date can be told. */
  readonly until: Date | null
}

export interface KeepInput {
  readonly policy: Policy
  readonly source: string
  /** All that are judged, in any order. */
  readonly runs: readonly RuledRun[]
  /** Whether a drill has proved the run. */
  readonly proved: (run: RuledRun) => boolean
  readonly now: Date
}

/** Milliseconds after its arrival in which no run expires: horizon and grace, or what the policy guarantees if that is longer. */
export function settlingTime({ rules }: Policy): number {
  return Math.max(rules.horizon_days + rules.grace_days, rules.retention_days) * DAY
}

/** The reasons for which each run stays, by run id; runs without any are not in it. Runs that expired are passed over. */
export function keepReasons({ policy, source, runs, proved, now }: KeepInput): Map<string, Reason[]> {
  const found = new Map<string, Reason[]>()
  const note = (run: RuledRun, why: string, until: Date | null): void => {
    if (until !== null && until <= now) return
    const reasons = found.get(run.run)
    if (reasons === undefined) found.set(run.run, [{ why, until }])
    else if (!reasons.some((each) => each.why === why)) reasons.push({ why, until })
  }
  const there = runs.filter((run) => run.expired === null)
  const settling = settlingTime(policy)
  const settles = ({ arrived }: RuledRun): Date => dateOf(arrived.getTime() + settling)
  for (const run of there) {
    note(run, "younger than any that may expire", settles(run))
    if (!run.sound) note(run, "something is wrong with it", null)
    for (const hold of holdsOf(policy, source, run))
      note(run, `held: ${hold.name}`, hold.until === "" ? null : new Date(hold.until))
  }
  const rule = policy.keep?.find((each) => each.source === source)
  if (rule === undefined) {
    for (const run of there) note(run, "the source has no keep rule", null)
    return found
  }
  const eligible = there.filter((run) => run.sound && (run.outcome === "complete" || run.outcome === "partial"))
  const better = order(proved)
  for (const run of eligible)
    note(run, `within ${rule.within_days} days`, dateOf(run.arrived.getTime() + rule.within_days * DAY))
  const settled = eligible.filter((run) => settles(run) <= now)
  // Among the settled first: a fresh run must take no other's place. Then among all, for those that will settle.
  for (const among of [settled, eligible])
    for (const period of periods)
      for (const [index, run] of firstOfEach(among, period.of, better))
        if (rule[period.name] > 0)
          note(run, `${period.name} ${period.text(index)}`, period.start(index + rule[period.name]))
  const complete = eligible.filter((run) => run.outcome === "complete")
  for (const [run, until] of newest(eligible, rule.last, better, settles, now)) note(run, `last ${rule.last}`, until)
  for (const [run, until] of newest(complete, rule.minimum, better, settles, now))
    note(run, `never fewer than ${rule.minimum}`, until)
  return found
}

function holdsOf({ holds = [] }: Policy, source: string, { run }: RuledRun): Hold[] {
  return holds.filter((hold) => hold.source === source && (hold.run === "" || hold.run === run))
}

/** The last time there is stands for any that comes after it. */
function dateOf(milliseconds: number): Date {
  const last = 8.64e15
  return new Date(milliseconds < last ? milliseconds : last)
}

type Order = (a: RuledRun, b: RuledRun) => number

/** Complete before partial, proved before unproved, early before late. */
function order(proved: (run: RuledRun) => boolean): Order {
  const rank = (run: RuledRun): number => (run.outcome === "complete" ? 0 : 2) + (proved(run) ? 0 : 1)
  return (a, b) => rank(a) - rank(b) || a.arrived.getTime() - b.arrived.getTime() || (a.run < b.run ? -1 : 1)
}

interface Period {
  readonly name: keyof Pick<KeepRule, "hourly" | "daily" | "weekly" | "monthly" | "yearly">
  /** Number of the period, in UTC, that a time is in. */
  readonly of: (time: Date) => number
  readonly start: (index: number) => Date
  readonly text: (index: number) => string
}

/** 1970 began on a Thursday; weeks begin on Monday. */
const WEEK_SHIFT = 3 * DAY
const every = (name: Period["name"], length: number, shift: number, digits: number): Period => {
  const start = (index: number): Date => dateOf(index * length - shift)
  return {
    ...{ name, start },
    of: (time) => Math.floor((time.getTime() + shift) / length),
    text: (index) => start(index).toISOString().slice(0, digits),
  }
}
const months = (name: Period["name"], count: number, digits: number): Period => {
  const start = (index: number): Date => dateOf(Date.UTC(Math.floor((index * count) / 12), (index * count) % 12))
  return {
    ...{ name, start },
    of: (time) => Math.floor((time.getUTCFullYear() * 12 + time.getUTCMonth()) / count),
    text: (index) => start(index).toISOString().slice(0, digits),
  }
}
const periods: readonly Period[] = [
  every("hourly", DAY / 24, 0, 13),
  every("daily", DAY, 0, 10),
  every("weekly", 7 * DAY, WEEK_SHIFT, 10),
  months("monthly", 1, 7),
  months("yearly", 12, 4),
]

/** The best run of each period that has one. */
function firstOfEach(runs: readonly RuledRun[], periodOf: Period["of"], better: Order): Map<number, RuledRun> {
  const best = new Map<number, RuledRun>()
  for (const run of runs) {
    const index = periodOf(run.arrived)
    const other = best.get(index)
    if (other === undefined || better(run, other) < 0) best.set(index, run)
  }
  return best
}

/**
 * The runs that are among the `count` newest settled ones, or will be, with the time at which newer ones will have taken
 * their place. The best of each day comes before the second best of any: a flood on one day counts as one run while
 * there are enough days.
 */
function newest(
  runs: readonly RuledRun[],
  count: number,
  better: Order,
  settles: (run: RuledRun) => Date,
  now: Date,
): [RuledRun, Date | null][] {
  const days = new Map<number, RuledRun[]>()
  for (const run of runs) {
    const day = Math.floor(run.arrived.getTime() / DAY)
    const same = days.get(day)
    if (same === undefined) days.set(day, [run])
    else same.push(run)
  }
  const byDay = [...days].sort(([a], [b]) => b - a).map(([, same]) => same.sort(better))
  const line = byDay.flatMap((same, day) => same.map((run, level) => ({ run, level, day })))
  line.sort((a, b) => a.level - b.level || a.day - b.day)
  /** Of the best of each day, the newest day first. */
  const ends = byDay.flatMap(([best]) => (best === undefined ? [] : [settles(best)]))
  const found: [RuledRun, Date | null][] = []
  let settledBefore = 0
  for (const { run, level, day } of line) {
    if (settledBefore >= count) break
    found.push([run, ends[(level === 0 ? day : byDay.length) - count] ?? null])
    if (settles(run) <= now) settledBefore++
  }
  return found
}
