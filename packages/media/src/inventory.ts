// What of each run lies on a disk, kept while a sync goes on: ranges on the disk's memory, sets of numbers in here.

import {
  encodeRanges,
  type Holding,
  type ObjectRecord,
  parseRanges,
  parseRunObject,
  rangeNumbers,
} from "@backup-cloud/format"
import { type DiskMemory, type KnownRun, runKey } from "./memory.ts"
import { isVolume, type SyncRun } from "./plan.ts"
import type { Medium } from "./statements.ts"

interface Named {
  readonly source: string
  readonly run: string
  readonly name: string
}

interface Held {
  readonly volumes: Set<number>
  readonly catalogues: Set<number>
  /** Base names of what has no ranges. */
  readonly small: Set<string>
}

export class Inventory {
  readonly #memory: DiskMemory
  readonly #mates: readonly Medium[]
  readonly #held = new Map<string, Held>()

  /** @param mates the other disks of the set that are not lost */
  constructor(memory: DiskMemory, mates: readonly Medium[]) {
    this.#memory = memory
    this.#mates = mates
  }

  here(object: Named): boolean {
    const key = runKey(object)
    const held = this.#held.get(key)
    const { kind, number } = numbered(object.name)
    if (kind === null) return held?.small.has(object.name) ?? this.#memory.runs.get(key)?.holding === "alone"
    if (held !== undefined) return held[kind].has(number)
    return inRanges(this.#memory.runs.get(key)?.[kind] ?? "", number)
  }

  mates(object: Named): boolean {
    const { kind, number } = numbered(object.name)
    if (kind !== "volumes") return false
    const key = runKey(object)
    return this.#mates.some((mate) => inRanges(mate.runs.get(key)?.[kind] ?? "", number))
  }

  add(object: Named): void {
    const held = this.#open(runKey(object))
    const { kind, number } = numbered(object.name)
    if (kind === null) held.small.add(object.name)
    else held[kind].add(number)
  }

  drop(object: Named): void {
    const held = this.#open(runKey(object))
    const { kind, number } = numbered(object.name)
    if (kind === null) held.small.delete(object.name)
    else held[kind].delete(number)
  }

  #open(key: string): Held {
    const there = this.#held.get(key)
    if (there !== undefined) return there
    const known = this.#memory.runs.get(key)
    const numbers = (ranges = ""): Set<number> => new Set(rangeNumbers(ranges))
    const held = { volumes: numbers(known?.volumes), catalogues: numbers(known?.catalogues), small: new Set<string>() }
    this.#held.set(key, held)
    return held
  }

  /** Ranges of what lies here. */
  ranges(run: { readonly source: string; readonly run: string }): Pick<KnownRun, "volumes" | "catalogues"> {
    const held = this.#held.get(runKey(run))
    if (held !== undefined) return { volumes: encodeRanges(held.volumes), catalogues: encodeRanges(held.catalogues) }
    const { volumes = "", catalogues = "" } = this.#memory.runs.get(runKey(run)) ?? {}
    return { volumes, catalogues }
  }

  /** How far this disk restores the run. */
  holding({ source, run, objects, uses, whole }: SyncRun): Holding {
    const needed: Named[] = [
      ...objects.map(({ name }: ObjectRecord) => ({ source, run, name })),
      ...uses.map((use) => ({ source, run: use.run, name: use.object.name })),
    ]
    if (whole && needed.every((each) => this.here(each))) return "alone"
    if (whole && needed.every((each) => this.here(each) || (isVolume(each.name) && this.mates(each)))) return "set"
    const { volumes, catalogues } = this.ranges({ source, run })
    return volumes === "" && catalogues === "" ? "none" : "part"
  }
}

function numbered(base: string): { kind: "volumes" | "catalogues" | null; number: number } {
  const object = parseRunObject(base)
  if (object?.kind === "volume") return { kind: "volumes", number: object.number }
  if (object?.kind === "catalogue") return { kind: "catalogues", number: object.number }
  return { kind: null, number: 0 }
}

function inRanges(ranges: string, number: number): boolean {
  return ranges !== "" && (parseRanges(ranges) ?? []).some(([first, last]) => first <= number && number <= last)
}
