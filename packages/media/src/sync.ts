// Brings a disk up to date. Nothing is written before the archive was compared with what the disk remembers. A run counts on
// the disk once its objects were read back and noted; so whatever breaks off is gone on with, and what was whole stays whole.
//
// Order: configuration; of each source the newest run with all that it uses, then the receipts of all its runs, so that this
// run restores from here alone; then the other runs; last the disk's memory and the signed statement.

import { BackupError, decodeSums, inOrder, names } from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import {
  type JudgedRun,
  loadTrust,
  memoryInMemory,
  newMemory,
  ObjectError,
  type Problem,
  problemOf,
  readObject,
} from "@backup-cloud/trust"
import { copyBase, copySigned, highestOf } from "./base.ts"
import { copyObject } from "./copy.ts"
import { type KnownRun, note, runKey, writeMemory } from "./memory.ts"
import { expectPar2, makeParity } from "./parity.ts"
import type { PlannedObject, SyncRun, SyncStep } from "./plan.ts"
import type { PreparedSync } from "./prepare.ts"
import type { Through } from "./read-back.ts"
import { spaceOf } from "./space.ts"
import { makeStatement } from "./state-it.ts"
import { carryStatement, publishStatement } from "./statements.ts"

/** Objects copied at once: one is read while another is read back. */
const WIDTH = 2

export type SyncEvent =
  | { readonly event: "object"; readonly object: string; readonly bytes: number }
  | { readonly event: "run"; readonly source: string; readonly run: string; readonly holding: string }
  | ({ readonly event: "problem" } & Problem)

export interface SyncOptions {
  readonly signer: Signer
  readonly now: () => Date
  /** Id of the statement, of the form of a run id. */
  readonly statement: string
  readonly onEvent: (event: SyncEvent) => void
  readonly signal: AbortSignal
}

export interface SyncResult {
  readonly objects: number
  readonly bytes: number
  /** How what was copied was read back; empty if nothing was. */
  readonly through: ReadonlySet<Through>
  /** What is wrong in the archive; what it is of was not copied. */
  readonly problems: readonly Problem[]
}

/** Acts on a plan. Throws for what keeps it from going on: the disk, the way to the archive, a signature. */
export async function sync(prepared: PreparedSync, options: SyncOptions): Promise<SyncResult> {
  const { trust, reader, disk, memory, plan, examined } = prepared
  const { signal, onEvent } = options
  const problems: Problem[] = []
  const tell = (...found: readonly Problem[]): void => {
    for (const each of found) {
      problems.push(each)
      onEvent({ event: "problem", ...each })
    }
  }
  tell(...examined.problems, ...prepared.statements.problems)
  if (disk.identity.parity > 0) await expectPar2(signal)
  // Whole first, so that what is noted from now on follows it.
  await writeMemory(disk, memory)
  await copyBase(reader, disk, signal)
  tell(...(await copySigned(trust, reader, disk, signal)))
  const work = new Copying(prepared, options, tell)
  for (const step of plan.steps) await work.step(step)
  for (const source of new Set([...examined.judged.values()].map((run) => run.source))) await work.receipts(source)
  await work.settle()
  memory.policy = { number: trust.policy.number, sha256: trust.policyDigest }
  await writeMemory(disk, memory)
  await readable(prepared, signal)
  await state(prepared, options, problems.length)
  return { objects: work.objects, bytes: work.bytes, through: work.through, problems }
}

/** Copies runs, and keeps the disk's memory as it goes. */
class Copying {
  objects = 0
  bytes = 0
  readonly through = new Set<Through>()
  readonly #prepared: PreparedSync
  readonly #options: SyncOptions
  readonly #tell: (problem: Problem) => void
  /** Sources whose receipts are there. */
  readonly #receipts = new Set<string>()

  constructor(prepared: PreparedSync, options: SyncOptions, tell: (problem: Problem) => void) {
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

/** The disk must give the same policy as the archive, by the same fingerprint. */
async function readable({ trust, disk }: PreparedSync, signal: AbortSignal): Promise<void> {
  const { fingerprint } = trust.administrator
  const own = await loadTrust({
    reader: disk.store,
    verifier: trust.verifier,
    admin: fingerprint,
    home: memoryInMemory(newMemory(fingerprint)),
    signal,
  })
  if (own.policyDigest === trust.policyDigest) return
  throw new BackupError("tampered", `${disk.path}: gives policy ${own.policy.number}, and the archive another one`, {
    hint: "prepare another disk, and find out who changed this one",
  })
}

async function state(prepared: PreparedSync, options: SyncOptions, problems: number): Promise<void> {
  const { trust, reader, disk, memory, media, mates, statements } = prepared
  const { signer, signal, now } = options
  const { free, used } = await spaceOf(disk.path)
  const statement = makeStatement({
    ...{ identity: disk.identity, action: "sync", operator: signer.fingerprint, now: now(), problems, free, used },
    before: media.get(disk.identity.medium) ?? null,
    mates: mates.map((mate) => mate.id),
    policy: trust.policy.number,
    expiries: await highestOf(disk, "expiries/", signal),
    erasures: await highestOf(disk, "erasures/", signal),
    heads: headsAfter(prepared),
    runs: memory.runs.values(),
  })
  // What either lacks of the statements so far, then this one: on the disk first, since that is what it tells of.
  for (const name of statements.all.keys()) {
    const here = await disk.store.stat(`${name}.sig`, signal)
    const there = await reader.stat(`${name}.sig`, signal)
    if (here === null) await carryStatement(name, reader, disk.store, signal)
    if (there === null) await carryStatement(name, disk.store, reader, signal)
  }
  await publishStatement(statement, options.statement, signer, [disk.store, reader], signal)
}

/** The heads that the disk saw before and those of what is new, without what that names as its predecessors. */
function headsAfter({ examined, media, disk }: PreparedSync) {
  const judged = [...examined.judged.values()]
  const followed = new Set(
    judged.flatMap(({ source, receipt }) =>
      receipt.previous.map((line) => runKey({ source, run: line.slice(0, line.indexOf(" ")) })),
    ),
  )
  const heads = new Map(media.get(disk.identity.medium)?.last.heads.map((head) => [runKey(head), head]))
  for (const { source, run, sumsDigest: sums } of judged) heads.set(runKey({ source, run }), { source, run, sums })
  for (const key of followed) heads.delete(key)
  return [...heads.values()]
}
