// What a restore will do, as data: which entries, which volumes in which order, how much. Planning does not write, and
// reads nothing but the catalogue; the request for volumes is made from it, and `--dry-run` prints it.

import { type CatalogueEntry, encodeRanges } from "@backup-cloud/format"
import { EntryTable } from "./entry-table.ts"
import { Places } from "./places.ts"

/** `look`: not wanted itself, but something below it may be. The globs of the directory source have this shape. */
export interface Wanted {
  judge(path: string, directory: boolean, within: boolean): "take" | "look" | "leave"
}

/** A volume that is needed and where its chunks go. */
export interface VolumeNeed {
  readonly run: string
  readonly volume: number
  readonly places: Places
}

export interface RestorePlan {
  /** Chosen entries and the directories that hold them, in catalogue order. */
  readonly entries: EntryTable
  /** By run, then number: each is opened once. */
  readonly volumes: readonly VolumeNeed[]
  /** Regular files. */
  readonly files: number
  /** Sum of their sizes. */
  readonly bytes: number
}

/**
 * Plans the restore of what `wanted` takes; `null` takes everything. A hard link whose first name is not chosen becomes
 * the file itself: then the catalogue is read a second time.
 */
export async function planRestore(
  read: () => AsyncIterable<CatalogueEntry>,
  wanted: Wanted | null,
): Promise<RestorePlan> {
  const builder = new Builder()
  const orphans = new Map<string, CatalogueEntry[]>()
  for await (const entry of wanted === null ? read() : chosen(read(), wanted)) {
    const first = entry.type === "h" ? (entry.link ?? "") : null
    if (first === null || wanted === null || isChosen(first, wanted)) builder.take(entry)
    else orphans.set(first, [...(orphans.get(first) ?? []), entry])
  }
  if (orphans.size > 0) for await (const entry of read()) adopt(builder, entry, orphans.get(entry.path) ?? [])
  return builder.plan()
}

/** The first of the links becomes `entry`, the others links to it. */
function adopt(builder: Builder, entry: CatalogueEntry, links: readonly CatalogueEntry[]): void {
  for (const [i, link] of links.entries())
    builder.take(i === 0 ? { ...entry, path: link.path } : { ...link, link: links[0]?.path ?? "" })
}

interface Level {
  readonly entry: CatalogueEntry
  readonly within: boolean
  given: boolean
}

/** What is wanted and, before it, the directories that hold it. */
async function* chosen(
  entries: AsyncIterable<CatalogueEntry>,
  wanted: Wanted,
): AsyncGenerator<CatalogueEntry, void, undefined> {
  const levels: Level[] = []
  for await (const entry of entries) {
    const parent = parentOf(entry.path)
    while (levels.length > 0 && levels.at(-1)?.entry.path !== parent && !isAbove(levels.at(-1), parent)) levels.pop()
    const above = levels.at(-1)
    if (entry.path !== "." && above?.entry.path !== parent) continue
    const within = above?.within ?? false
    const verdict = entry.path === "." ? "look" : wanted.judge(entry.path, entry.type === "d", within)
    if (verdict === "take") {
      for (const level of levels) {
        if (!level.given) yield level.entry
        level.given = true
      }
      yield entry
    }
    if (entry.type === "d" && verdict !== "leave")
      levels.push({ entry, within: within || verdict === "take", given: verdict === "take" })
  }
}

const parentOf = (path: string): string => (path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".")

const isAbove = (level: Level | undefined, path: string): boolean =>
  level !== undefined && (level.entry.path === "." || path.startsWith(`${level.entry.path}/`))

/** Whether `chosen` yields the entry, no directory, with this path. */
function isChosen(path: string, wanted: Wanted): boolean {
  const parts = path.split("/")
  let within = false
  for (let i = 1; i < parts.length; i++) {
    const verdict = wanted.judge(parts.slice(0, i).join("/"), true, within)
    if (verdict === "leave") return false
    within ||= verdict === "take"
  }
  return wanted.judge(path, false, within) === "take"
}

class Builder {
  readonly #entries = new EntryTable()
  readonly #needs = new Map<string, VolumeNeed>()
  #files = 0
  #bytes = 0

  take(entry: CatalogueEntry): void {
    const file = this.#entries.push(entry)
    if (entry.type !== "f") return
    this.#files++
    this.#bytes += entry.size
    let offset = 0
    for (const { id, length, run, volume } of entry.chunks) {
      const key = `${run} ${volume}`
      let need = this.#needs.get(key)
      if (need === undefined) this.#needs.set(key, (need = { run, volume, places: new Places() }))
      need.places.push(id, length, file, offset)
      offset += length
    }
  }

  plan(): RestorePlan {
    const volumes = [...this.#needs.values()].sort((a, b) =>
      a.run < b.run ? -1 : a.run > b.run ? 1 : a.volume - b.volume,
    )
    return { entries: this.#entries, volumes, files: this.#files, bytes: this.#bytes }
  }
}

/** The volumes of a plan by run, as a request names them. */
export function neededVolumes(plan: RestorePlan): { readonly run: string; readonly volumes: string }[] {
  const byRun = new Map<string, number[]>()
  for (const { run, volume } of plan.volumes) {
    const numbers = byRun.get(run)
    if (numbers === undefined) byRun.set(run, [volume])
    else numbers.push(volume)
  }
  return [...byRun].map(([run, numbers]) => ({ run, volumes: encodeRanges(numbers) }))
}

/** A plan for people, a line each. */
export function planLines(plan: RestorePlan): string[] {
  return [
    `${plan.entries.length} entries, of them ${plan.files} files with ${plan.bytes} bytes`,
    ...neededVolumes(plan).map(({ run, volumes }) => `volumes ${volumes} of run ${run}`),
  ]
}
