// The runs of a source, judged. Starts from the signatures in a listing; reads receipts, sums and signatures only, so the
// source itself may do it. Where one does not fit, or a later run names one that is not there, older stored versions are
// tried. What cannot be judged is listed as broken, never left out.

import { inOrder, names, type ObjectRecord, parseRunPath, type Receipt, step } from "@backup-cloud/format"
import type { ArchiveReader, ObjectInfo } from "@backup-cloud/store"
import { type Expiries, NO_EXPIRIES } from "./expiries.ts"
import { chainOrder, checkExpired, checkReferences, headsOf } from "./graph.ts"
import { type Commit, type CommitPlace, joinObjects, judgeCommit } from "./judge.ts"
import { ObjectError, type Problem, problemOf, unreadRuns } from "./problems.ts"
import { candidates, sha256 } from "./read.ts"
import { changedUncovered } from "./signature-form.ts"
import type { Trust } from "./trust.ts"

export interface JudgedRun {
  readonly source: string
  readonly run: string
  /** The highest valid one; it speaks for the run. */
  readonly number: number
  /** Of that number. */
  readonly receipt: Receipt
  /** By base name: the objects of all its receipts together. */
  readonly objects: ReadonlyMap<string, ObjectRecord>
  /** Every valid number, ascending from 1. */
  readonly commits: readonly Commit[]
  /** Digest of the highest SHA256SUMS: what a later run puts into `previous` and `uses`. */
  readonly sumsDigest: string
  /** When the store says the highest signature arrived. */
  readonly arrived: Date
  /** Number of the first expiry list that names the run; `null` if none does. */
  readonly expired: number | null
  /** What is wrong with this run or with what it refers to. */
  readonly problems: readonly Problem[]
}

export interface SourceRuns {
  readonly source: string
  /** Along the chain, the oldest first; where the chain does not say, by arrival. */
  readonly runs: readonly JudgedRun[]
  /** The runs that no other valid run names in `previous`. */
  readonly heads: readonly JudgedRun[]
  /** Run ids that have signatures of which none counts, in order. */
  readonly broken: readonly string[]
  /** Run ids without any signature: interrupted before their first commit, or still running. */
  readonly unfinished: readonly string[]
  /** All problems, those of the runs included. */
  readonly problems: readonly Problem[]
}

/** A run as a listing shows it. */
export interface ListedRun {
  readonly run: string
  /** When each of its signatures arrived, by number; empty where there is none. */
  readonly arrived: ReadonlyMap<number, Date>
}

export interface RunsOptions {
  /** What was taken away on purpose; nothing unless given. */
  readonly expiries?: Expiries
  /** Whether a run of the source that others name need not be looked for here, since the caller knows of it. */
  readonly elsewhere?: (run: string) => boolean
  /** Told of each object below the source's runs, in order of name, before anything is judged. */
  readonly onObject?: (run: string, base: string, info: ObjectInfo) => void
  /** How many runs are judged at once. */
  readonly width?: number
}

export async function readRuns(
  trust: Trust,
  reader: ArchiveReader,
  source: string,
  signal: AbortSignal,
  options: RunsOptions = {},
): Promise<SourceRuns> {
  return await step("read runs", { source }, async (more) => {
    const listed = await listSigned(reader, source, signal, options.onObject)
    more({ runs: listed.size })
    return await judgeRuns(trust, reader, source, listed, signal, options)
  })
}

/**
 * As `readRuns`, of the runs that a listing of the caller's own found, by run id. Runs that these name and that are not among
 * them are looked for.
 */
export async function judgeRuns(
  trust: Trust,
  reader: ArchiveReader,
  source: string,
  directories: ReadonlyMap<string, ListedRun>,
  signal: AbortSignal,
  options: RunsOptions = {},
): Promise<SourceRuns> {
  const { expiries = NO_EXPIRIES } = options
  const judged = new Map<string, MutableRun>()
  const broken: string[] = []
  const loose: Problem[] = []
  const work = async (directory: ListedRun, inner: AbortSignal) =>
    judgeRun(trust, reader, source, directory, false, inner)
  for await (const [run, problems] of inOrder(signed(directories), options.width ?? 4, signal, work)) {
    if (run !== null) judged.set(run.run, run)
    else {
      const id = parseRunPath(problems[0]?.object ?? "")?.run
      if (id !== undefined) broken.push(id)
      loose.push(...problems)
    }
  }

  // A run or commit that others name and that the listing does not show may be hidden behind a delete marker.
  for (const run of hidden(judged)) {
    const directory = directories.get(run) ?? { run, arrived: new Map<number, Date>() }
    const [found] = await judgeRun(trust, reader, source, directory, true, signal)
    if (found === null || found.number <= (judged.get(run)?.number ?? 0)) continue
    judged.set(run, found)
    const at = broken.indexOf(run)
    if (at >= 0) broken.splice(at, 1)
  }

  const unread = unreadRuns([...loose, ...[...judged.values()].flatMap((run) => run.problems)])
  checkReferences(judged, (run) => unread.has(run) || options.elsewhere?.(run) === true)
  loose.push(...checkExpired(source, judged, expiries, unread))
  for (const [run, { list }] of expiries.of(source)) {
    const found = judged.get(run)
    if (found !== undefined) found.expired = list
  }
  const runs = chainOrder([...judged.values()])
  const unfinished = [...directories.values()]
    .filter((d) => d.arrived.size === 0 && !judged.has(d.run))
    .map((d) => d.run)
  return {
    source,
    runs,
    heads: headsOf(runs),
    broken,
    unfinished,
    problems: [...loose, ...runs.flatMap((run) => run.problems)],
  }
}

interface MutableRun extends JudgedRun {
  readonly problems: Problem[]
  expired: number | null
}

async function listSigned(
  reader: ArchiveReader,
  source: string,
  signal: AbortSignal,
  onObject: RunsOptions["onObject"],
): Promise<Map<string, ListedRun>> {
  const directories = new Map<string, { run: string; arrived: Map<number, Date> }>()
  for await (const info of reader.list(`backup/${source}/`, signal)) {
    const path = parseRunPath(info.name)
    if (path === null) continue
    onObject?.(path.run, path.base, info)
    const directory = directories.get(path.run) ?? { run: path.run, arrived: new Map<number, Date>() }
    directories.set(path.run, directory)
    const digits = /^SHA256SUMS-([0-9]{4})\.sig$/.exec(path.base)?.[1]
    if (digits !== undefined) directory.arrived.set(Number(digits), info.arrived)
  }
  return directories
}

function* signed(directories: ReadonlyMap<string, ListedRun>): Generator<ListedRun> {
  for (const directory of directories.values()) if (directory.arrived.size > 0) yield directory
}

/**
 * Judges numbers from 1 upwards until one is not there or does not count.
 * @param probe look for versions of numbers that the listing does not show
 */
async function judgeRun(
  trust: Trust,
  reader: ArchiveReader,
  source: string,
  directory: ListedRun,
  probe: boolean,
  signal: AbortSignal,
): Promise<[MutableRun | null, Problem[]]> {
  const { run } = directory
  const problems: Problem[] = []
  const commits: Commit[] = []
  let arrived = new Date(0)
  const highest = Math.max(0, ...directory.arrived.keys())
  for (let number = 1; probe || number <= highest; number++) {
    try {
      const place = { source, run, number }
      const found = await judgeStored(
        trust,
        reader,
        place,
        commits.at(-1) ?? null,
        directory.arrived.get(number),
        problems,
        signal,
      )
      if (found === null) {
        const object = names.runDirectory(source, run) + names.signature(number)
        if (number <= highest)
          problems.push({ fault: "tampered", object, why: `is missing, and number ${highest} is there` })
        break
      }
      commits.push(found.commit)
      arrived = found.arrived
    } catch (error) {
      const directoryName = names.runDirectory(source, run)
      const object = directoryName + names.signature(number)
      const problem = problemOf(error, object)
      problems.push(problem)
      // Nothing tells which of the two is as it was.
      if (problem.object === object && problem.fault === "tampered")
        problems.push({
          ...{ fault: "tampered", object: directoryName + names.sums(number) },
          why: `does not agree with ${names.signature(number)}: one of them was changed, or somebody else signed`,
        })
      break
    }
  }
  return [joined(source, run, commits, arrived, problems), problems]
}

function joined(source: string, run: string, commits: Commit[], arrived: Date, problems: Problem[]): MutableRun | null {
  const last = commits.at(-1)
  if (last === undefined) return null
  try {
    // What is wrong with them is told now. Most runs are never asked for theirs, which together would fill the memory.
    joinObjects(commits)
    let objects: ReadonlyMap<string, ObjectRecord> | null = null
    const { number, receipt, sums } = last
    return {
      ...{ source, run, number, receipt, commits, sumsDigest: sums, arrived, expired: null, problems },
      get objects() {
        return (objects ??= joinObjects(commits))
      },
    }
  } catch (error) {
    problems.push(problemOf(error, names.runDirectory(source, run)))
    return null
  }
}

/** The last time there is, for what has no known arrival: a key that was ended does not count then. */
const LAST = 8.64e15

/** The commit at `place`, from the current objects or older versions of them; `null` if there is no signature. */
async function judgeStored(
  trust: Trust,
  reader: ArchiveReader,
  place: CommitPlace,
  before: Commit | null,
  listed: Date | undefined,
  problems: Problem[],
  signal: AbortSignal,
): Promise<{ commit: Commit; arrived: Date } | null> {
  const directory = names.runDirectory(place.source, place.run)
  const [receiptName, sumsName, signatureName] = [
    directory + names.receipt(place.number),
    directory + names.sums(place.number),
    directory + names.signature(place.number),
  ]
  let first: unknown = null
  for await (const signature of candidates(reader, signatureName, signal)) {
    let anySums = false
    for await (const sums of candidates(reader, sumsName, signal)) {
      anySums = true
      try {
        const receipt = await fittingReceipt(reader, receiptName, sums.bytes, signal)
        const bytes = { receipt: receipt.bytes, sums: sums.bytes, signature: signature.bytes }
        const arrived =
          signature.arrived ?? listed ?? (await reader.stat(signatureName, signal))?.arrived ?? new Date(LAST)
        const commit = await judgeCommit(trust, place, bytes, before, arrived, signal)
        const parts: [string, string | null][] = [
          [signatureName, signature.version],
          [sumsName, sums.version],
          [receiptName, receipt.version],
        ]
        for (const [object, version] of parts)
          if (version !== null)
            problems.push({
              fault: "tampered",
              object,
              why: "is not what was signed; a stored version of it is",
              version,
            })
        const why = changedUncovered(signature.bytes, sums.bytes)
        if (why !== null) problems.push({ fault: "tampered", object: signatureName, why })
        return { commit, arrived }
      } catch (error) {
        problemOf(error, sumsName)
        first ??= error
      }
    }
    if (!anySums) first ??= new ObjectError("tampered", sumsName, "is missing, and its signature is there")
  }
  if (first !== null) throw first as Error
  return null
}

/** The version of the receipt that `sums` names, else the current one, for judging to say what is wrong with it. */
async function fittingReceipt(reader: ArchiveReader, name: string, sums: Uint8Array, signal: AbortSignal) {
  const text = Buffer.from(sums).toString("latin1")
  let current: { readonly bytes: Uint8Array; readonly version: string | null } | null = null
  for await (const receipt of candidates(reader, name, signal)) {
    if (text.includes(sha256(receipt.bytes))) return receipt
    current ??= receipt
  }
  if (current === null) throw new ObjectError("tampered", name, "is missing, and its signature is there")
  return { bytes: current.bytes, version: null }
}

/** Run ids with a commit that others name and that is not among the judged. */
function hidden(judged: ReadonlyMap<string, JudgedRun>): Set<string> {
  const missing = new Set<string>()
  for (const { receipt } of judged.values()) {
    const named = [
      ...receipt.previous.map((line) => line.split(" ") as [string, string]),
      ...receipt.uses.map((use) => [use.run, use.sums] as const),
    ]
    for (const [run, digest] of named)
      if (!judged.get(run)?.commits.some((commit) => commit.sums === digest)) missing.add(run)
  }
  return missing
}
