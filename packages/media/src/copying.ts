// Copies runs onto a disk, and keeps the disk's memory as it goes: a run is noted when all that was planned of it, and its
// signature, is there.

import { decodeSums, inOrder, names } from "@backup-cloud/format"
import { type JudgedRun, ObjectError, type Problem, problemOf, readObject } from "@backup-cloud/trust"
import { copyObject } from "./copy.ts"
import { type KnownRun, note, runKey } from "./memory.ts"
import { makeParity } from "./parity.ts"
import type { PlannedObject, SyncRun, SyncStep } from "./plan.ts"
import type { PreparedSync } from "./prepare.ts"
import type { Through } from "./read-back.ts"

/** Objects copied at once: one is read while another is read back. */
const WIDTH = 2

export type SyncEvent =
  | { readonly event: "object"; readonly object: string; readonly bytes: number }
  | { readonly event: "run"; readonly source: string; readonly run: string; readonly holding: string }
  | ({ readonly event: "problem" } & Problem)

export interface CopyOptions {
  readonly onEvent: (event: SyncEvent) => void
  readonly signal: AbortSignal
}

export class Copying {
  objects = 0
  bytes = 0
  readonly through = new Set<Through>()
  readonly #prepared: PreparedSync
  readonly #options: CopyOptions
  readonly #tell: (problem: Problem) => void
  /** Sources whose receipts are there. */
  readonly #receipts = new Set<string>()

  constructor(prepared: PreparedSync, options: CopyOptions, tell: (problem: Problem) => void) {
    this.#prepared = prepared
    this.#options = options
    this.#tell = tell
  }

  /** What the archive lacks is told, and the run then counts as far as it is there. */
  async step({ source, run, objects }: SyncStep): Promise<void> {
    const { inventory, wanted, memory, disk, mending } = this.#prepared
    const { signal } = this.#options
    const touched = new Map<string, { source: string; run: string }>([[runKey({ source, run }), { source, run }]])
    const copy = async (object: PlannedObject, inner: AbortSignal): Promise<PlannedObject | null> => {
      const { length, sha256 } = object
      const name = names.runDirectory(object.source, object.run) + object.name
      const suspect = mending.has(runKey(object))
      return (await this.#copy(name, { length, sha256 }, inner, suspect)) ? object : null
    }
    for await (const object of inOrder(objects, WIDTH, signal, copy)) {
      if (object === null) continue
      inventory.add(object)
      touched.set(runKey(object), object)
    }
    // A run is noted when its signature is there too.
    await this.receipts(source)
    const noted: KnownRun[] = []
    for (const [key, each] of touched) {
      const known = this.#known(key, each, wanted.get(key))
      if (known === null) continue
      memory.runs.set(key, known)
      noted.push(known)
    }
    await note(disk, noted)
    const holding = memory.runs.get(runKey({ source, run }))?.holding ?? "none"
    const number = memory.runs.get(runKey({ source, run }))?.number ?? 0
    if (disk.identity.parity > 0 && objects.length > 0) await makeParity(disk, { source, run }, number, signal)
    this.#options.onEvent({ event: "run", source, run, holding })
  }

  /** Receipts, sums and signatures of all runs of a source that are new to the disk, along the chain; once. */
  async receipts(source: string): Promise<void> {
    const { examined, memory, wanted, disk } = this.#prepared
    if (this.#receipts.has(source)) return
    this.#receipts.add(source)
    const noted: KnownRun[] = []
    for (const [key, run] of examined.judged) {
      if (run.source !== source || !(await this.#commits(run))) continue
      const known = this.#known(key, run, wanted.get(key))
      if (known === null) continue
      memory.runs.set(key, known)
      noted.push(known)
    }
    await note(disk, noted)
  }

  /** Some may be whole by what was copied for others. */
  async settle(): Promise<void> {
    const { examined, memory, wanted } = this.#prepared
    for (const key of examined.judged.keys()) {
      const known = this.#known(key, examined.judged.get(key), wanted.get(key))
      if (known !== null && memory.runs.has(key)) memory.runs.set(key, known)
    }
  }

  async #commits(run: JudgedRun): Promise<boolean> {
    const { disk } = this.#prepared
    const { signal } = this.#options
    const directory = names.runDirectory(run.source, run.run)
    for (const { number, sums, signature } of run.commits) {
      const sumsName = directory + names.sums(number)
      if (!(await this.#copy(sumsName, { length: null, sha256: sums }, signal))) return false
      const bytes = await readObject(disk.store, sumsName, signal)
      const receipt = decodeSums(bytes ?? new Uint8Array(), sumsName).get(names.receipt(number)) ?? ""
      if (!(await this.#copy(directory + names.receipt(number), { length: null, sha256: receipt }, signal)))
        return false
      if (!(await this.#copy(directory + names.signature(number), { length: null, sha256: signature }, signal)))
        return false
    }
    return true
  }

  async #copy(
    name: string,
    signed: { length: number | null; sha256: string },
    signal: AbortSignal,
    suspect = false,
  ): Promise<boolean> {
    const { reader, disk } = this.#prepared
    try {
      const { bytes, through } = await copyObject(reader, disk, { name, signed, suspect }, signal)
      if (through !== null) {
        this.objects++
        this.bytes += bytes
        this.through.add(through)
      }
      this.#options.onEvent({ event: "object", object: name, bytes })
      return true
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error
      this.#tell(problemOf(error, name, "tampered"))
      return false
    }
  }

  /** What the disk now has of a run; `null` of one that is not judged and not known. */
  #known(key: string, place: { source: string; run: string } | undefined, run: SyncRun | undefined): KnownRun | null {
    const { inventory, memory, examined, expiries } = this.#prepared
    const before = memory.runs.get(key)
    const judged = examined.judged.get(key)
    if (place === undefined) return null
    const ranges = inventory.ranges(place)
    // One that is not wanted, since it is there or covered, keeps how far it restores.
    const some = ranges.volumes !== "" || ranges.catalogues !== "" ? "part" : "none"
    const holding = run === undefined ? (before?.holding ?? some) : inventory.holding(run)
    if (judged === undefined) return before === undefined ? null : { ...before, ...ranges }
    let bytes = 0
    for (const { length } of judged.objects.values()) bytes += length
    const { source, run: id, number, sumsDigest: sums, objects } = judged
    const known = { source, run: id, number, holding, ...ranges, sums, objects: objects.size, bytes }
    // Of what expired, the archive has what it has now.
    const left = expiries.find(source, id) === null ? undefined : examined.listed.get(key)
    return left === undefined ? known : { ...known, objects: left.objects, bytes: left.bytes }
  }
}
