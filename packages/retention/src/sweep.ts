// Removes what expiry lists name, by the names that the store lists: done again, it finishes. What a lock keeps is told and
// left for another time.

import { inOrder, isFault, isPart, names, parseRunObject, parseRunPath } from "@backup-cloud/format"
import { type ArchiveReader, type ArchiveRemover, type ArchiveWriter, KeptError } from "@backup-cloud/store"
import type { Expired, Expiries, Trust } from "@backup-cloud/trust"

export interface KeptObject {
  readonly object: string
  /** When the lock ends; `null` where that is not known, or no lock is why. */
  readonly until: Date | null
  readonly why: string
}

export type ExpiryEvent =
  | { readonly event: "list"; readonly number: number; readonly runs: number }
  | { readonly event: "removed"; readonly object: string }
  | ({ readonly event: "kept" } & KeptObject)

export interface SweepInput {
  readonly trust: Trust
  readonly store: ArchiveReader & ArchiveWriter & ArchiveRemover
  readonly onEvent: (event: ExpiryEvent) => void
  readonly signal: AbortSignal
}

/** Objects that are removed at once. */
const WIDTH = 8

export interface Removed {
  removed: number
  readonly kept: KeptObject[]
}

/** Removes what the lists name and the store still has. */
export async function sweep(input: SweepInput, expiries: Expiries): Promise<Removed> {
  const total: Removed = { removed: 0, kept: [] }
  const sources = new Set(expiries.lists.flatMap((list) => list.runs.map((each) => each.source)))
  for (const source of [...sources].sort())
    for await (const { run, objects } of byRun(input, source)) {
      const expired = expiries.find(source, run)
      if (expired === null) continue
      const doomed = doomedOf(expired, objects)
      if (doomed === null) {
        const why = "has receipts now, and had none when it was taken for an interrupted run; it stays"
        tell(input, total, { object: names.runDirectory(source, run), until: null, why })
      } else await removeAll(input, total, doomed)
    }
  return total
}

/** The objects of each run of a source that the store has, in order. */
async function* byRun({ store, signal }: SweepInput, source: string) {
  let run = ""
  let objects: string[] = []
  for await (const { name } of store.list(`backup/${source}/`, signal)) {
    const path = parseRunPath(name)
    if (path === null) continue
    if (path.run !== run && objects.length > 0) yield { run, objects }
    if (path.run !== run) objects = []
    run = path.run
    objects.push(name)
  }
  if (objects.length > 0) yield { run, objects }
}

/** Of an orphan everything, unless it has come to have receipts: then `null`. */
function doomedOf({ sums, parts }: Expired, objects: readonly string[]): string[] | null {
  const baseOf = (object: string): string => object.slice(object.lastIndexOf("/") + 1)
  if (sums !== "") return objects.filter((object) => isPart(parts, baseOf(object)))
  const proofs = ["receipt", "sums", "signature"]
  return objects.some((object) => proofs.includes(parseRunObject(baseOf(object))?.kind ?? "")) ? null : [...objects]
}

/** Removes one object first: where that is refused, so would be the others of its run, which are not tried. */
export async function removeAll(
  input: SweepInput,
  total: Removed,
  [first, ...others]: readonly string[],
): Promise<void> {
  if (first === undefined) return
  const refused = await removeOne(input, total, first, input.signal)
  if (refused !== null) {
    tell(input, total, refused)
    return
  }
  let told = false
  const work = (object: string, signal: AbortSignal) => removeOne(input, total, object, signal)
  for await (const one of inOrder(others, WIDTH, input.signal, work)) {
    if (one !== null && !told) tell(input, total, one)
    told ||= one !== null
  }
}

async function removeOne(
  { store, onEvent }: SweepInput,
  total: Removed,
  object: string,
  signal: AbortSignal,
): Promise<KeptObject | null> {
  try {
    await store.remove(object, signal)
  } catch (error) {
    if (!isFault(error, "refused")) throw error
    return { object, until: error instanceof KeptError ? error.until : null, why: error.message }
  }
  total.removed++
  onEvent({ event: "removed", object })
  return null
}

function tell({ onEvent }: SweepInput, total: Removed, kept: KeptObject): void {
  total.kept.push(kept)
  onEvent({ event: "kept", ...kept })
}
