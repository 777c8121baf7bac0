// Verifies an archive with no key at all: signatures, the chain, every reference, every object's length and SHA-256, what
// is absent and what nothing names. Each object is read once; several are read at a time. It lists all it finds and
// throws only for what keeps it from looking (and for `loadTrust`'s reasons, before).
//
// Not looked at: what lies below `state/`, a cache that nothing signs and nothing is restored from.

import {
  BackupError,
  inOrder,
  isFault,
  names,
  type ObjectRecord,
  parseRunObject,
  parseRunPath,
  step,
} from "@backup-cloud/format"
import type { ArchiveReader, ObjectInfo } from "@backup-cloud/store"
import { readErasures, rolledBackErasures } from "./erasures.ts"
import { type Expiries, NO_EXPIRIES, takenBy } from "./expiries.ts"
import type { TrustMemory } from "./memory.ts"
import { type Problem, problemOf } from "./problems.ts"
import { hashObject, intactVersion } from "./read.ts"
import { keepHeads } from "./rollback.ts"
import { type JudgedRun, readRuns, type SourceRuns } from "./runs.ts"
import type { Trust } from "./trust.ts"

export type VerifyEvent =
  | {
      readonly event: "source"
      readonly source: string
      readonly runs: number
      readonly objects: number
      readonly bytes: number
    }
  /** An object was looked at. */
  | { readonly event: "object"; readonly object: string; readonly bytes: number }
  | ({ readonly event: "problem" } & Problem)

export interface VerifyOptions {
  readonly trust: Trust
  readonly reader: ArchiveReader
  /** Presence and length only. */
  readonly quick: boolean
  readonly memory: TrustMemory
  readonly onEvent: (event: VerifyEvent) => void
  readonly signal: AbortSignal
  /** How many objects are read at once. */
  readonly width: number
  /** What was taken away on purpose, and may be absent; nothing unless given. Its problems are reported too. */
  readonly expiries?: Expiries
  /** Digests (hex) by name of objects that no signature covers and that the program has a copy of: RECOVER.txt. */
  readonly unsigned?: ReadonlyMap<string, string>
}

export interface VerifyReport {
  /** How many objects below `backup/` were found and looked at. */
  readonly objects: number
  /** Their bytes: read, or with `quick` counted. */
  readonly bytes: number
  readonly runs: number
  readonly problems: readonly Problem[]
  /** Objects that no receipt names, left by runs that were interrupted or are still running: no problem. */
  readonly leftovers: number
}

export async function verifyArchive(options: VerifyOptions): Promise<VerifyReport> {
  return await step("verify", {}, async (more) => {
    const report = await verify(options)
    const { objects, bytes, runs, leftovers } = report
    more({ objects, bytes, runs, leftovers, problems: report.problems.length })
    return report
  })
}

async function verify(options: VerifyOptions): Promise<VerifyReport> {
  const { trust, reader, onEvent, signal } = options
  const total = { objects: 0, bytes: 0, runs: 0, leftovers: 0 }
  const problems: Problem[] = []
  const note = (...found: readonly Problem[]): void => {
    for (const problem of found) {
      problems.push(problem)
      onEvent({ event: "problem", ...problem })
    }
  }
  const { expiries = NO_EXPIRIES } = options
  note(
    ...trust.problems,
    ...expiries.problems,
    ...(await unsignedObjects(options)),
    ...(await erasureProblems(options)),
  )

  const sources = new Map<string, SourceRuns>()
  for (const source of knownSources(trust)) {
    const runs = await readRuns(trust, reader, source, signal, { width: options.width, expiries })
    sources.set(source, runs)
    note(...runs.problems, ...(await keepHeads(options.memory, [runs])))
    onEvent({ event: "source", source, runs: runs.runs.length, ...sizeOf(runs) })
    total.runs += runs.runs.length
  }

  const book = openBook(sources, expiries)
  // What an earlier system left and the policy records is part of the archive.
  const recorded = new Map((trust.policy.handed ?? []).map(({ file, sha256 }) => [file, sha256]))
  const lookAt = async (info: ObjectInfo, inner: AbortSignal) => {
    const sha256 = recorded.get(info.name)
    recorded.delete(info.name)
    if (sha256 === undefined) return await look(options, book, info, inner)
    return await compare(options, info, { name: info.name, length: info.size, sha256 }, inner)
  }
  const work = async (info: ObjectInfo, inner: AbortSignal) => ({ info, found: await lookAt(info, inner) })
  for await (const { info, found } of inOrder(reader.list("backup/", signal), options.width, signal, work)) {
    total.objects++
    total.bytes += info.size
    onEvent({ event: "object", object: info.name, bytes: info.size })
    if (found === "leftover") total.leftovers++
    else if (found !== null) note(found)
  }
  for await (const absence of inOrder(book.absent(), options.width, signal, (each, inner) =>
    explain(reader, each, inner),
  ))
    note(absence)
  for (const object of recorded.keys())
    if (object.startsWith("backup/")) note({ fault: "tampered", object, why: "is missing, and the policy records it" })

  return { ...total, problems }
}

/** Of the records of what must not come back; what they say is sealed. */
async function erasureProblems({ trust, reader, memory, signal }: VerifyOptions): Promise<Problem[]> {
  const found = await readErasures(trust, reader, signal)
  const gone = rolledBackErasures(await memory.read(), found)
  return [...found.problems, ...[found.broken, gone].filter((problem) => problem !== null)]
}

/** Every source that any policy named: one that was removed still has its runs. */
export function knownSources(trust: Trust): string[] {
  const all = [...trust.policies.values()].flatMap((policy) => policy.sources.map((source) => source.name))
  return [...new Set(all)].sort()
}

function sizeOf({ runs }: SourceRuns): { objects: number; bytes: number } {
  const size = { objects: 0, bytes: 0 }
  for (const run of runs)
    for (const { length } of run.objects.values()) {
      size.objects++
      size.bytes += length
    }
  return size
}

interface Wanted {
  readonly object: string
  readonly record: ObjectRecord
}

/** What must be there, by source and run, crossed off as it is seen. */
function openBook(sources: ReadonlyMap<string, SourceRuns>, expiries: Expiries) {
  const runs = new Map<string, JudgedRun>()
  const seen = new Map<string, Set<string>>()
  for (const { runs: judged } of sources.values())
    for (const run of judged) runs.set(names.runDirectory(run.source, run.run), run)
  return {
    sources,
    find: (source: string, run: string): JudgedRun | undefined => runs.get(names.runDirectory(source, run)),
    cross(source: string, run: string, base: string): void {
      const directory = names.runDirectory(source, run)
      const crossed = seen.get(directory) ?? new Set()
      crossed.add(base)
      seen.set(directory, crossed)
    },
    *absent(): Generator<Wanted> {
      for (const [directory, run] of runs)
        for (const record of run.objects.values()) {
          if (seen.get(directory)?.has(record.name) === true) continue
          if (takenBy(expiries, run.source, run.run, record.name) !== null) continue
          yield { object: directory + record.name, record }
        }
    },
  }
}

/** Looks at one listed object; `null` if all is well. */
async function look(
  options: VerifyOptions,
  book: ReturnType<typeof openBook>,
  info: ObjectInfo,
  signal: AbortSignal,
): Promise<Problem | "leftover" | null> {
  const path = parseRunPath(info.name)
  const kind = path === null ? null : parseRunObject(path.base)
  const problem = (fault: Problem["fault"], why: string): Problem => ({ fault, object: info.name, why })
  if (path === null || kind === null) return problem("differs", "is a name that the format does not know")
  const source = book.sources.get(path.source)
  if (source === undefined) return problem("differs", "belongs to a source that no policy names")
  const run = book.find(path.source, path.run)
  // What is wrong with a broken run has been said once, by its signature's name.
  if (run === undefined) return "leftover"
  const record = run.objects.get(path.base)
  if (record !== undefined) {
    book.cross(path.source, path.run, path.base)
    return compare(options, info, record, signal)
  }
  const judged = kind.kind === "receipt" || kind.kind === "sums" || kind.kind === "signature"
  // Receipts, sums and signatures were read when their run was judged.
  if (judged && kind.number <= run.number) return null
  // After a checkpoint the process may have gone on; after any other outcome it had ended.
  if (run.receipt.outcome === "checkpoint" || run.problems.length > 0) return "leftover"
  return problem("differs", "is an object that no receipt names")
}

async function compare(
  { reader, quick }: VerifyOptions,
  info: ObjectInfo,
  record: ObjectRecord,
  signal: AbortSignal,
): Promise<Problem | null> {
  const object = info.name
  try {
    if (info.size === record.length) {
      if (quick) return null
      const found = await hashObject(reader, object, signal)
      if (found.length === record.length && found.sha256 === record.sha256) return null
    }
    const why =
      info.size === record.length ? "has other bytes than were signed" : `has ${info.size} bytes, not ${record.length}`
    return await withVersion(reader, object, record, why, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (isFault(error, "not-found")) return { fault: "tampered", object, why: "vanished while it was looked at" }
    return problemOf(error, object)
  }
}

async function explain(reader: ArchiveReader, { object, record }: Wanted, signal: AbortSignal): Promise<Problem> {
  try {
    return await withVersion(reader, object, record, "is missing", signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof BackupError) return { fault: "tampered", object, why: "is missing" }
    throw error
  }
}

async function withVersion(
  reader: ArchiveReader,
  object: string,
  record: ObjectRecord,
  why: string,
  signal: AbortSignal,
): Promise<Problem> {
  const version = await intactVersion(reader, object, record, signal)
  if (version === null) return { fault: "tampered", object, why }
  return { fault: "tampered", object, why: `${why}; a stored version has what was signed`, version }
}

/** Objects beside the runs: recover.sh by the policy, archive.json by policy 1, others by what the caller knows. */
async function unsignedObjects({ trust, reader, signal, unsigned }: VerifyOptions): Promise<Problem[]> {
  const problems: Problem[] = []
  const wanted = new Map([...(unsigned ?? []), ["recover.sh", trust.policy.recover]])
  for (const [object, sha256] of wanted) {
    try {
      const found = await hashObject(reader, object, signal)
      if (found.sha256 !== sha256) problems.push({ fault: "tampered", object, why: "has other bytes than it should" })
    } catch (error) {
      if (isFault(error, "not-found")) problems.push({ fault: "tampered", object, why: "is missing" })
      else problems.push(problemOf(error, object))
    }
  }
  if (trust.archive.created !== trust.policies.get(1)?.created)
    problems.push({ fault: "tampered", object: names.archive, why: "has another time than the archive's first policy" })
  return problems
}
