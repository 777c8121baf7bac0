// What a sync does before it writes anything: reads the disk's memory, compares the archive with it, and plans.

import { BackupError, names, rangeNumbers } from "@backup-cloud/format"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import {
  type Expiries,
  type JudgedRun,
  type Problem,
  readExpiries,
  type Trust,
  usedObjects,
  worst,
} from "@backup-cloud/trust"
import { type Examined, examine } from "./examine.ts"
import type { Disk } from "./identity.ts"
import { Inventory } from "./inventory.ts"
import { type DiskMemory, type KnownRun, readMemory, runKey } from "./memory.ts"
import { planSync, type SyncPlan, type SyncRun } from "./plan.ts"
import { spaceOf } from "./space.ts"
import { foldStatements, type Medium, readStatements, restores, type Statements } from "./statements.ts"

/** Room for the statement and the disk's memory: so much, and a hundredth of the disk. */
const SPARE = 1_048_576

export interface PrepareOptions {
  readonly trust: Trust
  readonly reader: ArchiveReader & ArchiveWriter
  readonly disk: Disk
  readonly signal: AbortSignal
}

export interface PreparedSync extends PrepareOptions {
  readonly memory: DiskMemory
  readonly statements: Statements
  readonly media: ReadonlyMap<string, Medium>
  /** The living others of the set. */
  readonly mates: readonly Medium[]
  readonly expiries: Expiries
  readonly examined: Examined
  readonly inventory: Inventory
  /** By `runKey`: runs of which a scrub found something damaged. */
  readonly mending: ReadonlySet<string>
  /** By `runKey`: what is to be on this disk and is not yet. */
  readonly wanted: ReadonlyMap<string, SyncRun>
  readonly plan: SyncPlan
}

/** Throws a `DiskAlarm` if the archive contradicts what the disk remembers; nothing was written then. */
export async function prepareSync(options: PrepareOptions): Promise<PreparedSync> {
  const { trust, reader, disk, signal } = options
  const expiries = await readExpiries({ trust, reader, signal })
  const expired = ({ source, run }: { readonly source: string; readonly run: string }): boolean =>
    expiries.find(source, run) !== null
  const memory = await readMemory(disk)
  await withoutSwept(disk, memory, expiries, signal)
  const statements = await readStatements(trust, [disk.store, reader], signal)
  const media = foldStatements(statements)
  const { medium, set } = disk.identity
  const self = media.get(medium)
  if (self?.gone === true)
    throw new BackupError("refused", `${disk.path}: "${disk.identity.label}" was forgotten; nothing was done`, {
      hint: "if it was found again, make its file system anew and prepare it as another disk",
    })
  const mending = damagedSince(self, memory)
  const mates = [...media.values()].filter((each) => each.set === set && each.id !== medium && !each.gone)
  const living = new Set(mates.map((mate) => mate.id))
  const lacking = (run: KnownRun): boolean => {
    if (run.holding === "alone" || expired(run)) return false
    if (run.holding === "set" && self?.last.mates.every((mate) => living.has(mate)) === true) return false
    return !covered(run)
  }
  const covered = (run: { readonly source: string; readonly run: string }): boolean =>
    mates.some((mate) => {
      const held = mate.runs.get(runKey(run))
      return held !== undefined && restores(mate, held, media)
    })

  const examined = await examine({ trust, reader, disk, memory, expiries, lacking, signal })
  if (examined.alarms.length > 0) throw new DiskAlarm(disk, examined.alarms)
  const wanted = new Map<string, SyncRun>()
  for (const [key, run] of examined.judged) {
    const known = memory.runs.get(key)
    if (expired(run) || covered(run)) continue
    if (known === undefined || run.number > known.number || lacking(known)) wanted.set(key, syncRun(run, examined))
  }
  const inventory = new Inventory(memory, mates)
  const { free, capacity } = await spaceOf(disk.path)
  let receipts = 0
  for (const [key, run] of examined.listed) if (!memory.runs.has(key)) receipts += run.receipts
  const spare = SPARE + capacity / 100 + receipts
  // Recovery data takes its share of every run, and some for its own names and headers.
  const share = 1 + (disk.identity.parity * 1.1) / 100
  const plan = planSync(
    [...wanted.values()],
    (object) => inventory.here(object),
    (object) => inventory.mates(object),
    { free: Math.max(0, free - spare) / share, capacity: (capacity - spare) / share },
  )
  return { ...options, memory, statements, media, mates, expiries, examined, inventory, mending, wanted, plan }
}

/** What an expiry took from the disk as well, without telling its memory. */
async function withoutSwept(disk: Disk, memory: DiskMemory, expiries: Expiries, signal: AbortSignal): Promise<void> {
  for (const [key, known] of memory.runs) {
    const gone = expiries.find(known.source, known.run)
    if (gone === null || known.holding === "none") continue
    if ((await disk.store.stat(names.runDirectory(known.source, known.run) + names.key, signal)) !== null) continue
    const left = new Inventory(memory, [])
    for (const number of rangeNumbers(gone.parts.volumes)) left.drop({ ...known, name: names.volume(number) })
    for (const number of rangeNumbers(gone.parts.catalogues)) left.drop({ ...known, name: names.catalogue(number) })
    const ranges = left.ranges(known)
    const some = ranges.volumes !== "" || ranges.catalogues !== ""
    memory.runs.set(key, { ...known, ...ranges, holding: some ? "part" : "none" })
  }
}

/** What a scrub stated, in place of what the disk remembers: it could not note it, since it was read-only then. */
function damagedSince(self: Medium | undefined, memory: DiskMemory): Set<string> {
  const damaged = new Set<string>()
  if (self?.last.action !== "scrub") return damaged
  for (const [key, { holding, volumes, catalogues }] of self.runs) {
    const known = memory.runs.get(key)
    if (known === undefined || known.holding === holding) continue
    memory.runs.set(key, { ...known, holding, volumes, catalogues })
    damaged.add(key)
  }
  return damaged
}

function syncRun({ source, run, receipt, arrived, objects }: JudgedRun, { judged }: Examined): SyncRun {
  const uses: SyncRun["uses"][number][] = []
  let whole = true
  for (const use of receipt.uses) {
    const earlier = judged.get(runKey({ source, run: use.run }))
    const keys = [...(earlier?.objects.keys() ?? [])].filter((base) => base === names.key || base.startsWith("share-"))
    for (const base of [...keys, ...usedObjects(use)]) {
      const object = earlier?.objects.get(base)
      if (object === undefined) whole = false
      else uses.push({ run: use.run, object })
    }
  }
  return { source, run, outcome: receipt.outcome, arrived, objects: [...objects.values()], uses, whole }
}

/** The archive contradicts what a disk remembers. */
export class DiskAlarm extends BackupError {
  readonly alarms: readonly Problem[]

  constructor(disk: Disk, alarms: readonly Problem[]) {
    const { label } = disk.identity
    const first = worst(alarms)
    const what = `${alarms.length} alarms, the first: ${first?.object ?? ""}: ${first?.why ?? ""}`
    super(
      first?.fault ?? "alarm",
      `the archive is not what "${label}" remembers; nothing was copied and the disk is as it was; ${what}`,
      { hint: "unplug the disk now and keep it: it holds what it held. Then find out who changed the archive" },
    )
    this.alarms = alarms
  }
}
