// What may be taken away, as data: no reading and no writing, so that it can be shown, tested, and signed as it stands.
// Nothing goes that a run which stays uses; of a run that was taken away before, what has become free since goes too.

import {
  commonRanges,
  type ExpiredRun,
  joinRanges,
  NO_PARTS,
  type Policy,
  type RunParts,
  takesAny,
  withoutRanges,
} from "@backup-cloud/format"
import { DAY, keepReasons, type Reason } from "./keep.ts"
import type { RunState, SourceState } from "./state.ts"

export interface PlanInput {
  readonly policy: Policy
  readonly sources: readonly SourceState[]
  /** Runs that a drill has proved, as `<source> <run> <digest of the highest SHA256SUMS>`. */
  readonly proved: ReadonlySet<string>
  readonly now: Date
}

export interface KeptRun {
  readonly source: string
  readonly run: string
  readonly reasons: readonly Reason[]
}

export interface ExpiryPlan {
  /** As an expiry list names them, in its order. */
  readonly runs: readonly ExpiredRun[]
  readonly kept: readonly KeptRun[]
  /** Sources of which nothing is taken away, and why. */
  readonly passed: readonly { readonly source: string; readonly why: string }[]
  /** Folders below `state/` that nothing can use any more; no list names them. */
  readonly states: readonly { readonly source: string; readonly run: string }[]
}

export function provedKey({ source, run, sums }: Pick<RunState, "source" | "run" | "sums">): string {
  return `${source} ${run} ${sums}`
}

export function planExpiry({ policy, sources, proved, now }: PlanInput): ExpiryPlan {
  const runs: ExpiredRun[] = []
  const kept: KeptRun[] = []
  const passed: { source: string; why: string }[] = []
  const states: { source: string; run: string }[] = []
  for (const state of sources) {
    const { source } = state
    const judged = state.runs.filter((run) => run.outcome !== "orphan")
    const reasons = keepReasons({
      ...{ policy, source, runs: judged, now },
      proved: (run) => proved.has(provedKey(run)),
    })
    for (const [run, why] of reasons) kept.push({ source, run, reasons: why })
    const hasRule = policy.keep?.some((each) => each.source === source) === true
    const why = state.blocked ?? (hasRule ? null : "it has no keep rule, so all of it stays")
    if (why !== null) {
      passed.push({ source, why })
      continue
    }
    const orphans = state.runs.filter((run) => run.outcome === "orphan" && run.sound)
    const held = new Set((policy.holds ?? []).filter((hold) => hold.source === source).map((hold) => hold.run))
    const old = orphans.filter((run) => olderThan(run.arrived, policy.rules.grace_days, now) && !held.has(run.run))
    runs.push(...takeFrom(judged, (run) => !reasons.has(run.run)), ...old.flatMap(takeOrphan))
    states.push(...oldStates(state, policy, now).map((run) => ({ source, run })))
  }
  const byName = (a: ExpiredRun, b: ExpiredRun): number => (`${a.source} ${a.run}` < `${b.source} ${b.run}` ? -1 : 1)
  return { runs: runs.sort(byName), kept, passed, states }
}

function olderThan(arrived: Date, days: number, now: Date): boolean {
  return now.getTime() - arrived.getTime() > days * DAY
}

/** What goes of the runs that expire or have expired: all that no other run uses. */
function takeFrom(runs: readonly RunState[], expires: (run: RunState) => boolean): ExpiredRun[] {
  const going = new Map(runs.filter((run) => run.expired !== null || expires(run)).map((run) => [run.run, run]))
  const volumes = new Map<string, string[]>()
  const catalogues = new Map<string, string[]>()
  const add = (to: Map<string, string[]>, run: string, ranges: string): void => {
    const list = to.get(run)
    if (list === undefined) to.set(run, [ranges])
    else list.push(ranges)
  }
  for (const run of runs) {
    if (going.has(run.run)) continue
    for (const use of run.uses) {
      if (!going.has(use.run)) continue
      add(volumes, use.run, use.volumes)
      add(catalogues, use.run, use.catalogues)
    }
  }
  return [...going.values()].flatMap((run) => {
    const used = {
      volumes: joinRanges(...(volumes.get(run.run) ?? [])),
      catalogues: joinRanges(...(catalogues.get(run.run) ?? [])),
    }
    return taken(run, used)
  })
}

function taken(run: RunState, used: Pick<RunParts, "volumes" | "catalogues">): ExpiredRun[] {
  const { has } = run
  const before = run.expired ?? NO_PARTS
  const free = used.volumes === "" && used.catalogues === ""
  const parts: RunParts = {
    key: has.key && !before.key && free,
    roots: has.roots && !before.roots,
    volumes: withoutRanges(withoutRanges(has.volumes, used.volumes), before.volumes),
    catalogues: withoutRanges(withoutRanges(has.catalogues, used.catalogues), before.catalogues),
  }
  return takesAny(parts) ? [entryOf(run, parts)] : []
}

function takeOrphan(run: RunState): ExpiredRun[] {
  if (run.expired !== null) return []
  return [entryOf(run, run.has)]
}

function entryOf({ source, run, sums }: RunState, { key, roots, volumes, catalogues }: RunParts): ExpiredRun {
  return { source, run, sums, key, roots, volumes, catalogues }
}

/** State is built upon while its run is younger than the horizon, by runs that last no longer than grace; the newest stays. */
function oldStates({ runs, states }: SourceState, { rules }: Policy, now: Date): string[] {
  const newest = runs.reduce<RunState | null>(
    (last, run) => (run.outcome !== "orphan" && (last === null || run.arrived > last.arrived) ? run : last),
    null,
  )
  return states
    .filter(
      (state) => state.run !== newest?.run && olderThan(state.arrived, rules.horizon_days + rules.grace_days, now),
    )
    .map((state) => state.run)
}

/** Whether everything in `list` is also in `plan`: what was begun and is still right to do. */
export function covers(plan: readonly ExpiredRun[], list: readonly ExpiredRun[]): boolean {
  const planned = new Map(plan.map((each) => [`${each.source} ${each.run}`, each]))
  return list.every((each) => {
    const now = planned.get(`${each.source} ${each.run}`)
    if (now?.sums !== each.sums) return false
    const wider = (name: "volumes" | "catalogues"): boolean => commonRanges(each[name], now[name]) === each[name]
    return (!each.key || now.key) && (!each.roots || now.roots) && wider("volumes") && wider("catalogues")
  })
}

/** What of `plan` is not in `list` yet. */
export function beyond(plan: readonly ExpiredRun[], list: readonly ExpiredRun[]): ExpiredRun[] {
  const done = new Map(list.map((each) => [`${each.source} ${each.run}`, each]))
  return plan.flatMap((each) => {
    const before = done.get(`${each.source} ${each.run}`)
    if (before === undefined) return [each]
    const left: RunParts = {
      key: each.key && !before.key,
      roots: each.roots && !before.roots,
      volumes: withoutRanges(each.volumes, before.volumes),
      catalogues: withoutRanges(each.catalogues, before.catalogues),
    }
    return takesAny(left) ? [{ ...each, ...left }] : []
  })
}
