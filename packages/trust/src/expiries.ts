// The chain of expiry lists, from number 1 up to the last whose signature counts: what the administrator took away. Where
// a current object does not fit, older stored versions of it are tried. What this machine remembers of the chain is
// compared with what it finds, then brought up to date.

import {
  BackupError,
  type ExpiryList,
  expiryCodec,
  isFault,
  isPart,
  joinRanges,
  NO_PARTS,
  names,
  type RunParts,
} from "@backup-cloud/format"
import type { ArchiveReader } from "@backup-cloud/store"
import { readSigned } from "./chain.ts"
import type { TrustMemory } from "./memory.ts"
import { ObjectError, type Problem, problemOf, worst } from "./problems.ts"
import { readObject, sha256 } from "./read.ts"
import type { Trust } from "./trust.ts"

/** What expiry lists say of one run. */
export interface Expired {
  /** Number of the first list that names it. */
  readonly list: number
  /** Digest of the highest SHA256SUMS, by that list; `""` for a run that had never committed. */
  readonly sums: string
  /** What all lists together take away of it. */
  readonly parts: RunParts
}

export interface Expiries {
  /** Those that count, from number 1 up. */
  readonly lists: readonly ExpiryList[]
  /** Digest of the last list's file; `""` if there is none. */
  readonly digest: string
  /** Bytes of the next list, if it lies there without a signature: an expiry that was interrupted. */
  readonly unfinished: Uint8Array | null
  readonly problems: readonly Problem[]
  /** `null` if no list names the run. */
  find(source: string, run: string): Expired | null
  /** All runs of a source that a list names, by id. */
  of(source: string): ReadonlyMap<string, Expired>
}

/** Nothing was ever taken away. */
export const NO_EXPIRIES: Expiries = collected([], "", null, [])

export interface ExpiriesInput {
  readonly trust: Trust
  readonly reader: ArchiveReader
  /** Of this machine; nothing is compared or remembered without. */
  readonly home?: TrustMemory
  readonly signal: AbortSignal
}

/**
 * Reads and judges all lists. What is wrong is in `problems`, a chain that ends before what this machine remembers as
 * `alarm`. Throws as the store does; that this machine may not look is a problem and no throw.
 */
export async function readExpiries({ trust, reader, home, signal }: ExpiriesInput): Promise<Expiries> {
  const problems: Problem[] = []
  const listed = new Set<string>()
  try {
    for await (const { name } of reader.list("expiries/", signal)) listed.add(name)
  } catch (error) {
    // A source sees its own runs alone. It builds on nothing as old as what a list may name.
    if (!isFault(error, "refused")) throw error
    return collected([], "", null, [problemOf(error, "expiries/")])
  }
  const lists: ExpiryList[] = []
  let digest = ""
  for (;;) {
    const name = names.expiry(lists.length + 1)
    const input = { reader, verifier: trust.verifier, administrator: trust.administrator, problems, signal }
    const bytes = listed.has(`${name}.sig`) ? await readSigned(input, name) : await hiddenList(input, listed, name)
    const list = bytes === null ? null : judged(trust, bytes, name, lists.at(-1) ?? null, digest, problems)
    if (bytes === null || list === null) break
    lists.push(list)
    digest = sha256(bytes)
  }
  const next = names.expiry(lists.length + 1)
  const unfinished =
    listed.has(next) && !listed.has(`${next}.sig`) && problems.length === 0
      ? await readObject(reader, next, signal)
      : null
  if (home !== undefined) problems.push(...(await remembered(home, lists, digest, problems)))
  return collected(lists, digest, unfinished, problems)
}

const SIGNATURE = /^expiries\/[0-9]{6}\.json\.sig$/
type SignedInput = Parameters<typeof readSigned>[0]

/** A list whose signature is not among the current objects: hidden, if a higher one is there or a version of it is. */
async function hiddenList(input: SignedInput, listed: ReadonlySet<string>, name: string): Promise<Uint8Array | null> {
  const higher = [...listed].some((each) => SIGNATURE.test(each) && each > `${name}.sig`)
  const before = input.problems.length
  const bytes = await readSigned(input, name)
  if (bytes === null && higher && input.problems.length === before)
    input.problems.push({ fault: "tampered", object: name, why: "is missing or not signed, and a later list is there" })
  return bytes
}

function judged(
  trust: Trust,
  bytes: Uint8Array,
  name: string,
  before: ExpiryList | null,
  digest: string,
  problems: Problem[],
): ExpiryList | null {
  try {
    const list = expiryCodec.decode(bytes, name)
    const wrong = notFollowing(trust, list, before, digest)
    if (wrong !== null) throw new ObjectError("tampered", name, wrong)
    return list
  } catch (error) {
    problems.push(problemOf(error, name))
    return null
  }
}

/** Why `list` cannot come right after `before`, whose file has this digest; `null` if it can. */
export function notFollowing(trust: Trust, list: ExpiryList, before: ExpiryList | null, digest: string): string | null {
  if (list.archive !== trust.archive.archive) return "belongs to another archive"
  if (list.number !== (before?.number ?? 0) + 1) return "bears another number"
  if (list.previous !== digest) return "names another list before it"
  if (!trust.policies.has(list.policy)) return `names policy ${list.policy}, which is not in force or before`
  if (list.policy < (before?.policy ?? 0)) return "names a lower policy than the list before it"
  if (list.created < (before?.created ?? "")) return "is older than the list before it"
  return null
}

async function remembered(
  home: TrustMemory,
  lists: readonly ExpiryList[],
  digest: string,
  problems: readonly Problem[],
): Promise<Problem[]> {
  const memory = await home.read()
  if (memory === null || worst(problems)?.fault === "unavailable") return []
  const seen = memory.expiry
  if (seen !== undefined) {
    const object = names.expiry(seen.number)
    if (seen.number > lists.length)
      return [{ fault: "alarm", object, why: "was there and valid before, and is not any more" }]
    const now = lists[seen.number - 1]
    if (now !== undefined && sha256(expiryCodec.encode(now)) !== seen.sha256)
      return [{ fault: "alarm", object, why: "is another list than the one this machine saw under this number" }]
  }
  if (lists.length > (seen?.number ?? 0))
    await home.write({ ...memory, expiry: { number: lists.length, sha256: digest } })
  return []
}

function collected(
  lists: readonly ExpiryList[],
  digest: string,
  unfinished: Uint8Array | null,
  problems: readonly Problem[],
): Expiries {
  const sources = new Map<string, Map<string, Expired>>()
  for (const { number, runs } of lists)
    for (const each of runs) {
      const source = sources.get(each.source) ?? new Map<string, Expired>()
      sources.set(each.source, source)
      const before = source.get(each.run)
      source.set(each.run, {
        ...{ list: before?.list ?? number, sums: before?.sums ?? each.sums },
        parts: joinParts(before?.parts ?? NO_PARTS, each),
      })
    }
  const none: ReadonlyMap<string, Expired> = new Map()
  return {
    ...{ lists, digest, unfinished, problems },
    find: (source, run) => sources.get(source)?.get(run) ?? null,
    of: (source) => sources.get(source) ?? none,
  }
}

function joinParts(a: RunParts, b: RunParts): RunParts {
  return {
    key: a.key || b.key,
    roots: a.roots || b.roots,
    volumes: joinRanges(a.volumes, b.volumes),
    catalogues: joinRanges(a.catalogues, b.catalogues),
  }
}

/** Number of the first list that takes the object of this base name away; `null` if none does. */
export function takenBy(expiries: Expiries, source: string, run: string, base: string): number | null {
  const found = expiries.find(source, run)
  return found !== null && isPart(found.parts, base) ? found.list : null
}

/** The gravest of what is wrong with the lists as an error, if it is one that nothing should be built on. */
export function checkExpiries({ problems }: Expiries): void {
  const alarm = problems.find((each) => each.fault === "alarm")
  if (alarm === undefined) return
  throw new BackupError("alarm", `${alarm.object}: ${alarm.why}`, {
    hint: "keep the archive as it is, and find out who put back an older state of it",
  })
}
