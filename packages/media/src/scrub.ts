// Reads a disk through, from the disk itself, and compares every byte with what was signed. No key is needed. What the disk
// says of itself is where it begins: what it claims to have must be there, what it never got is no damage.

import { join, resolve } from "node:path"
import { BackupError, inOrder, isFault, names, type ObjectRecord } from "@backup-cloud/format"
import {
  type Expiries,
  type JudgedRun,
  type Problem,
  problemOf,
  readExpiries,
  readRuns,
  type SourceRuns,
  type Trust,
  takenBy,
  usedObjects,
} from "@backup-cloud/trust"
import { diskFault } from "./disk-faults.ts"
import type { Disk } from "./identity.ts"
import { Inventory } from "./inventory.ts"
import { type DiskMemory, type KnownRun, runKey } from "./memory.ts"
import { mountOf } from "./mounts.ts"
import { isVolume } from "./plan.ts"
import { pageAligned, readBack } from "./read-back.ts"

/** Files read at once: one disk arm gains nothing by more, and one alone waits for the hashing. */
const WIDTH = 2

export type ScrubEvent =
  | { readonly event: "source"; readonly source: string; readonly objects: number; readonly bytes: number }
  | { readonly event: "object"; readonly object: string; readonly bytes: number }
  | ({ readonly event: "problem" } & Problem)

export interface ScrubOptions {
  readonly disk: Disk
  /** As the disk itself gives it. */
  readonly trust: Trust
  readonly memory: DiskMemory
  readonly onEvent: (event: ScrubEvent) => void
  readonly signal: AbortSignal
}

export interface DamagedObject extends ObjectRecord {
  readonly source: string
  readonly run: string
}

export interface ScrubResult {
  readonly objects: number
  readonly bytes: number
  /** Of what was read, what is not as it was signed (`tampered`), is gone or cannot be read (`incomplete`). */
  readonly problems: readonly Problem[]
  /** The objects of runs among them. */
  readonly damaged: readonly DamagedObject[]
  /** All runs as the disk has them now. */
  readonly runs: readonly KnownRun[]
}

/** Throws `refused` if what `path` lies on could be written to: then a defect of this machine could reach it. */
export async function expectReadOnly(path: string): Promise<void> {
  const mount = await mountOf(path)
  if (mount?.readOnly === true) return
  // Never the command for what the folder only lies in: that may be this machine's own disk.
  const own = mount !== null && mount.point === resolve(path)
  const readOnly = own
    ? `mount it read-only: mount -o remount,ro ${mount.point}; better, plug it in through a write blocker, or run blockdev --setro ${mount.device} before mounting`
    : "no disk is mounted there: mount it read-only, better through a write blocker"
  throw new BackupError("refused", `${path}: can be written to; nothing was read`, {
    hint: `${readOnly}; --writable reads it all the same`,
  })
}

export async function scrub(options: ScrubOptions): Promise<ScrubResult> {
  const { disk, trust, memory, onEvent, signal } = options
  const problems: Problem[] = []
  const damaged: DamagedObject[] = []
  const inventory = new Inventory(memory, [])
  const total = { objects: 0, bytes: 0 }
  const tell = (problem: Problem): void => {
    problems.push(problem)
    onEvent({ event: "problem", ...problem })
  }
  for (const problem of trust.problems) tell(problem)
  const after = new Map(memory.runs)
  const expiries = await readExpiries({ trust, reader: disk.store, signal })
  for (const problem of expiries.problems) tell(problem)
  for (const source of new Set([...memory.runs.values()].map((run) => run.source))) {
    const found = await readRuns(trust, disk.store, source, signal, { width: 8, expiries })
    for (const problem of found.problems) tell(problem)
    const { expected, runs } = await expectedOf(found, memory, inventory, expiries, disk, signal)
    for (const run of runs)
      tell({ fault: "incomplete", object: run, why: "has no receipt that counts on the disk any more" })
    const size = expected.reduce((sum, each) => sum + each.length, 0)
    onEvent({ event: "source", source, objects: expected.length, bytes: size })
    const bad = new Set<string>()
    const look = async (each: DamagedObject, inner: AbortSignal) => ({
      each,
      problem: await compare(disk, each, inner),
    })
    for await (const { each, problem } of inOrder(expected, WIDTH, signal, look)) {
      const object = names.runDirectory(each.source, each.run) + each.name
      total.objects++
      total.bytes += each.length
      onEvent({ event: "object", object, bytes: each.length })
      if (problem === null) continue
      tell(problem)
      damaged.push(each)
      bad.add(object)
    }
    for (const run of found.runs) {
      const known = memory.runs.get(runKey(run))
      if (known !== undefined) after.set(runKey(run), reduced(known, run, bad))
    }
  }
  return { ...total, problems, damaged, runs: [...after.values()] }
}

/** What of a source must be on the disk. `runs`: directories of runs that it had and that do not count there any more. */
async function expectedOf(
  { source, runs }: SourceRuns,
  memory: DiskMemory,
  inventory: Inventory,
  expiries: Expiries,
  disk: Disk,
  signal: AbortSignal,
): Promise<{ expected: DamagedObject[]; runs: string[] }> {
  const expected: DamagedObject[] = []
  const judged = new Set(runs.map((run) => run.run))
  for (const { run, objects } of runs)
    for (const record of objects.values()) {
      const object = { source, run, ...record }
      // Of a part of a run, keys and roots may be there and need not; what expired may be gone from here too.
      const held = inventory.here(object)
      const perhaps = held ? takenBy(expiries, source, run, record.name) !== null : !isVolume(record.name)
      const stored = perhaps && (await disk.store.stat(names.runDirectory(source, run) + record.name, signal)) !== null
      if (perhaps ? stored : held) expected.push(object)
    }
  const gone = [...memory.runs.values()].filter((known) => known.source === source && !judged.has(known.run))
  return { expected, runs: gone.map((known) => names.runDirectory(source, known.run)) }
}

const idle: Buffer[] = []

async function compare(
  disk: Disk,
  { source, run, name, length, sha256 }: DamagedObject,
  signal: AbortSignal,
): Promise<Problem | null> {
  const object = names.runDirectory(source, run) + name
  const buffer = idle.pop() ?? pageAligned()
  try {
    const found = await readBack(join(disk.path, object), buffer, signal)
    if (found.sha256 === sha256) return null
    const why =
      found.length === length ? "has other bytes than were signed" : `has ${found.length} bytes, not ${length}`
    return { fault: "tampered", object, why }
  } catch (error) {
    signal.throwIfAborted()
    const fault = diskFault(object, error)
    if (isFault(fault, "not-found")) return { fault: "incomplete", object, why: "is missing" }
    return { ...problemOf(fault, object), fault: "incomplete" }
  } finally {
    idle.push(buffer)
  }
}

/** What is left of a run on the disk, when these objects are bad. */
function reduced(known: KnownRun, { source, run, objects, receipt }: JudgedRun, bad: ReadonlySet<string>): KnownRun {
  const own = [...objects.keys()].filter((base) => bad.has(names.runDirectory(source, run) + base))
  const needs = receipt.uses.some((use) =>
    [names.key, ...usedObjects(use)].some((base) => bad.has(names.runDirectory(source, use.run) + base)),
  )
  if (own.length === 0 && !needs) return known
  const without = new Inventory({ policy: null, runs: new Map([[runKey(known), known]]) }, [])
  for (const base of own) without.drop({ source, run, name: base })
  const ranges = without.ranges({ source, run })
  return { ...known, ...ranges, holding: ranges.volumes === "" && ranges.catalogues === "" ? "none" : "part" }
}
