// What a sync would copy, as data: whole runs, the newest first, each with what it uses of earlier ones; then, where a run is
// larger than a disk, parts of it. Nothing here reads or writes.

import { type Holding, names, type ObjectRecord, parseRunObject } from "@backup-cloud/format"
import { onDisk } from "./survey.ts"

/** A run of the archive that was judged. */
export interface SyncRun {
  readonly source: string
  readonly run: string
  readonly outcome: "complete" | "partial" | "checkpoint" | "failed"
  /** When its signature arrived. */
  readonly arrived: Date
  readonly objects: readonly ObjectRecord[]
  /** What it needs of earlier runs, their keys included. */
  readonly uses: readonly { readonly run: string; readonly object: ObjectRecord }[]
  /** False if something of an earlier run that it needs is in no receipt that counts. */
  readonly whole: boolean
}

export interface SyncSpace {
  /** Bytes that may be filled, with room for receipts and the statement already taken off. */
  readonly free: number
  /** Bytes of an empty disk of this size. */
  readonly capacity: number
}

export interface PlannedObject extends ObjectRecord {
  readonly source: string
  readonly run: string
}

export interface SyncStep {
  readonly source: string
  readonly run: string
  readonly objects: readonly PlannedObject[]
  readonly bytes: number
  /** What the disk restores of the run once this is copied. */
  readonly holding: Exclude<Holding, "none">
}

export interface SyncPlan {
  readonly steps: readonly SyncStep[]
  readonly bytes: number
  /** Runs that found no room, or only for a part, in the order they were wanted. */
  readonly left: readonly { readonly source: string; readonly run: string; readonly bytes: number }[]
}

/** Where an object is already: on this disk, on another of its set. */
export type Where = (object: { readonly source: string; readonly run: string; readonly name: string }) => boolean

export function planSync(runs: readonly SyncRun[], here: Where, mates: Where, space: SyncSpace): SyncPlan {
  const planned = new Set<string>()
  const steps: SyncStep[] = []
  const left: { source: string; run: string; bytes: number }[] = []
  let free = space.free
  for (const run of inOrderOfNeed(runs)) {
    const needed = everything(run)
    const lacking = needed.filter((each) => !here(each) && !planned.has(path(each)))
    const wanted = lacking.filter((each) => !mates(each))
    const cost = (objects: readonly PlannedObject[]): number =>
      objects.reduce((sum, each) => sum + onDisk(each.length), 0)
    const take = (objects: readonly PlannedObject[], holding: SyncStep["holding"]): void => {
      for (const each of objects) planned.add(path(each))
      free -= cost(objects)
      const bytes = objects.reduce((sum, each) => sum + each.length, 0)
      steps.push({ source: run.source, run: run.run, objects, bytes, holding })
    }
    if (cost(wanted) <= free) {
      take(wanted, !run.whole ? "part" : wanted.length < lacking.length ? "set" : "alone")
      continue
    }
    left.push({ source: run.source, run: run.run, bytes: wanted.reduce((sum, each) => sum + each.length, 0) })
    // A smaller run may fit still, but a run that no disk of this size could take is spread over several.
    if (cost(needed) <= space.capacity) continue
    const some: PlannedObject[] = []
    let room = free
    for (const each of wanted) {
      room -= onDisk(each.length)
      if (room < 0) break
      some.push(each)
    }
    if (some.some((each) => isVolume(each.name))) take(some, "part")
  }
  return { steps, left, bytes: steps.reduce((sum, step) => sum + step.bytes, 0) }
}

/** The newest run of each source that restores something, then all others, the newest first, those that restore nothing last. */
function inOrderOfNeed(runs: readonly SyncRun[]): SyncRun[] {
  const late = (a: SyncRun, b: SyncRun): number =>
    b.arrived.getTime() - a.arrived.getTime() || (a.source + a.run < b.source + b.run ? 1 : -1)
  const usable = (run: SyncRun): boolean => run.outcome === "complete" || run.outcome === "partial"
  const newest = new Map<string, SyncRun>()
  for (const run of [...runs].sort(late)) if (usable(run) && !newest.has(run.source)) newest.set(run.source, run)
  const rank = (run: SyncRun): number => (newest.get(run.source) === run ? 0 : usable(run) ? 1 : 2)
  return [...runs].sort((a, b) => rank(a) - rank(b) || late(a, b))
}

/** Volumes last: without catalogues, keys and roots nobody could tell what is in a part of a run. */
function everything({ source, run, objects, uses }: SyncRun): PlannedObject[] {
  const own = objects.map((each) => ({ source, run, ...each })).sort((a, b) => (a.name < b.name ? -1 : 1))
  const all = [...own, ...uses.map((use) => ({ source, run: use.run, ...use.object }))]
  return [...all.filter((each) => !isVolume(each.name)), ...all.filter((each) => isVolume(each.name))]
}

/** Whether `base` is a volume, of which the disks of a set share: all else that a run needs goes onto each. */
export function isVolume(base: string): boolean {
  return parseRunObject(base)?.kind === "volume"
}

const path = ({ source, run, name }: PlannedObject): string => names.runDirectory(source, run) + name
