// Looks at an archive before anything of it is copied: what is new, what of it counts, and whether anything that the disk
// remembers vanished or changed. Known runs cost a listing and one small object each; only new ones are judged whole.

import { inOrder, names, type ObjectRecord } from "@backup-cloud/format"
import type { ArchiveReader } from "@backup-cloud/store"
import {
  type Expiries,
  type JudgedRun,
  judgeRuns,
  type ListedRun,
  type Problem,
  policyDigest,
  problemOf,
  readObject,
  type Trust,
  takenBy,
} from "@backup-cloud/trust"
import { sha256 } from "./bytes.ts"
import type { Disk } from "./identity.ts"
import { type DiskMemory, type KnownRun, runKey } from "./memory.ts"
import { highest, type SurveyedRun, survey } from "./survey.ts"
import { breaksOff, compareListing, type Suspect } from "./tripwire.ts"

/** Small objects read at once. */
const WIDTH = 8

export interface Examined {
  readonly listed: ReadonlyMap<string, SurveyedRun>
  /** By `runKey`: runs that are new to the disk or of which it lacks something, and what these use. */
  readonly judged: ReadonlyMap<string, JudgedRun>
  /** What contradicts the disk's memory. */
  readonly alarms: readonly Problem[]
  /** What else is wrong with what is new. */
  readonly problems: readonly Problem[]
}

export interface Examining {
  readonly trust: Trust
  readonly reader: ArchiveReader
  readonly disk: Disk
  readonly memory: DiskMemory
  readonly expiries: Expiries
  /** Whether a known run is to be judged all the same, since something of it is to be copied. */
  readonly lacking: (run: KnownRun) => boolean
  readonly signal: AbortSignal
}

export async function examine(input: Examining): Promise<Examined> {
  const { trust, reader, disk, memory, expiries, lacking, signal } = input
  const listed = await survey(reader, signal)
  const { alarms, suspects } = compareListing(memory, listed, expiries)
  alarms.push(...policyAlarms(trust, memory))
  for (const prefix of ["expiries/", "erasures/"]) alarms.push(...(await seriesAlarms(reader, disk, prefix, signal)))
  alarms.push(...(await sumsAlarms(reader, memory, listed, signal)))

  const wanted = new Map<string, Map<string, ListedRun>>()
  for (const [key, run] of listed) {
    const known = memory.runs.get(key)
    if (run.arrived.size === 0) continue
    if (known !== undefined && highest(run) <= known.number && !lacking(known) && !suspects.some((s) => s.now === run))
      continue
    const runs = wanted.get(run.source) ?? new Map<string, ListedRun>()
    wanted.set(run.source, runs.set(run.run, run))
  }
  const known = new Set([...memory.runs.values()].map(({ source }) => source))
  const judged = new Map<string, JudgedRun>()
  const problems: Problem[] = []
  for (const [source, runs] of wanted) {
    const may = (run: string): boolean =>
      expiries.find(source, run) !== null || memory.runs.has(runKey({ source, run }))
    const found = await judgeRuns(trust, reader, source, runs, signal, { width: WIDTH, elsewhere: may })
    problems.push(...found.problems)
    for (const run of found.runs) {
      judged.set(runKey(run), run)
      const before = memory.runs.get(runKey(run))
      const broken = before === undefined ? breaksOff(known, run.receipt) : changed(before, run)
      if (broken !== null) alarms.push(broken)
    }
    for (const run of found.broken)
      if (memory.runs.has(runKey({ source, run })))
        alarms.push({ fault: "alarm", object: names.runDirectory(source, run), why: "was whole, and is not any more" })
  }
  for (const suspect of suspects) {
    const run = judged.get(runKey(suspect.known))
    if (run === undefined) continue
    const found = await compareObjects(reader, suspect, run, expiries, signal)
    for (const each of found) (each.fault === "alarm" ? alarms : problems).push(each)
    // From now on the run is what is left of it.
    const { objects, bytes } = suspect.now
    if (found.length === 0) memory.runs.set(runKey(suspect.known), { ...suspect.known, objects, bytes })
  }
  return { listed, judged, alarms, problems }
}

/** The disk's policy must be in the archive, and be the same. */
function policyAlarms({ policies, policy }: Trust, { policy: seen }: DiskMemory): Problem[] {
  if (seen === null) return []
  const object = names.policy(seen.number)
  const now = policies.get(seen.number)
  if (now === undefined)
    return [{ fault: "alarm", object, why: `was in force, and the archive now ends at policy ${policy.number}` }]
  if (policyDigest(now) === seen.sha256) return []
  return [{ fault: "alarm", object, why: "is another policy than the one this disk has under this number" }]
}

/** Numbered lists that the disk has must be in the archive, byte for byte. */
async function seriesAlarms(
  reader: ArchiveReader,
  disk: Disk,
  prefix: string,
  signal: AbortSignal,
): Promise<Problem[]> {
  const alarms: Problem[] = []
  for await (const { name } of disk.store.list(prefix, signal)) {
    const [here, there] = [await readObject(disk.store, name, signal), await readObject(reader, name, signal)]
    if (here === null) continue
    if (there === null) alarms.push({ fault: "alarm", object: name, why: "vanished from the archive" })
    else if (sha256(here) !== sha256(there))
      alarms.push({ fault: "alarm", object: name, why: "is not what this disk has under this name" })
  }
  return alarms
}

/** The sums that the disk remembers must be in the archive. */
async function sumsAlarms(
  reader: ArchiveReader,
  memory: DiskMemory,
  listed: ReadonlyMap<string, SurveyedRun>,
  signal: AbortSignal,
): Promise<Problem[]> {
  const there = [...memory.runs].filter(([key]) => listed.has(key)).map(([, known]) => known)
  const compare = async (known: KnownRun, inner: AbortSignal): Promise<Problem | null> => {
    const object = names.runDirectory(known.source, known.run) + names.sums(known.number)
    const bytes = await readObject(reader, object, inner)
    if (bytes === null) return { fault: "alarm", object, why: "vanished from the archive" }
    return sha256(bytes) === known.sums ? null : { fault: "alarm", object, why: "is not what this disk remembers" }
  }
  const alarms: Problem[] = []
  for await (const alarm of inOrder(there, WIDTH, signal, compare)) if (alarm !== null) alarms.push(alarm)
  return alarms
}

function changed(known: KnownRun, run: JudgedRun): Problem | null {
  if (run.commits.some((commit) => commit.sums === known.sums)) return null
  const object = names.runDirectory(run.source, run.run) + names.sums(known.number)
  return { fault: "alarm", object, why: "is not what this disk remembers" }
}

/** Of a known run whose listing is not what it was: what is gone, what has another length, what is there besides. */
async function compareObjects(
  reader: ArchiveReader,
  { known, now }: Suspect,
  run: JudgedRun,
  expiries: Expiries,
  signal: AbortSignal,
): Promise<Problem[]> {
  const directory = names.runDirectory(known.source, known.run)
  const look = async (record: ObjectRecord, inner: AbortSignal): Promise<Problem | null> => {
    const object = directory + record.name
    try {
      const info = await reader.stat(object, inner)
      const gone = takenBy(expiries, run.source, run.run, record.name) !== null
      if (info === null && gone) return null
      if (info === null) return { fault: "alarm", object, why: "vanished, and no expiry list names it" }
      if (info.size === record.length) return null
      return { fault: "alarm", object, why: `has ${info.size} bytes, and ${record.length} were signed` }
    } catch (error) {
      return problemOf(error, object)
    }
  }
  const found: Problem[] = []
  for await (const each of inOrder(run.objects.values(), WIDTH, signal, look)) if (each !== null) found.push(each)
  if (found.length > 0 || now.objects <= run.objects.size) return found
  const more = now.objects - run.objects.size
  return [{ fault: "differs", object: directory, why: `holds ${more} objects that no receipt names` }]
}
