// Signed statements about media: each says what changed since the one before, so that all of a medium's together say what
// is on it. One counts if an operator signed it whom the policy lists; what the archive lacks of them a disk may have.

import {
  BackupError,
  type HeldRun,
  isFault,
  type MediumStatement,
  mediumCodec,
  names,
  type OperatorEntry,
  parseHeldLine,
  parseRanges,
  parseRunObject,
  parseRunPath,
} from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import { type Problem, problemOf, readObject, type Trust } from "@backup-cloud/trust"
import { sha256 } from "./bytes.ts"
import { runKey } from "./memory.ts"

const STATEMENT = /^media\/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.json$/

export interface Statements {
  /** By name; those that count. */
  readonly all: ReadonlyMap<string, MediumStatement>
  /** What was found that does not count, and numbers of a medium that are missing. */
  readonly problems: readonly Problem[]
}

/** All statements that lie in `readers`, each looked at once. Throws `unavailable` if one cannot be read just now. */
export async function readStatements(
  trust: Trust,
  readers: readonly ArchiveReader[],
  signal: AbortSignal,
): Promise<Statements> {
  const all = new Map<string, MediumStatement>()
  const problems: Problem[] = []
  for (const reader of readers)
    for await (const { name } of reader.list("media/", signal)) {
      if (!STATEMENT.test(name) || all.has(name)) continue
      try {
        all.set(name, await readStatement(trust, reader, name, signal))
      } catch (error) {
        if (isFault(error, "unavailable")) throw error
        problems.push(problemOf(error, name, "tampered"))
      }
    }
  const sorted = new Map([...all].sort(([a, x], [b, y]) => x.number - y.number || (a < b ? -1 : 1)))
  return { all: sorted, problems: [...problems, ...missingNumbers(sorted)] }
}

async function readStatement(
  trust: Trust,
  reader: ArchiveReader,
  name: string,
  signal: AbortSignal,
): Promise<MediumStatement> {
  const bytes = await readObject(reader, name, signal)
  const signature = await readObject(reader, `${name}.sig`, signal)
  if (bytes === null || signature === null) throw new BackupError("tampered", `${name}: has no signature`)
  const statement = mediumCodec.decode(bytes, name)
  if (statement.archive !== trust.archive.archive) throw new BackupError("tampered", `${name}: is of another archive`)
  const operator = trust.policy.operators.find((each) => mayState(each, statement))
  const certificate = operator === undefined ? undefined : trust.certificates.get(operator.sha256)
  if (certificate === undefined)
    throw new BackupError("refused", `${name}: is by ${statement.operator}, who was no operator then`)
  await trust.verifier.detached(bytes, signature, certificate, name, signal, { expiredKey: true })
  return statement
}

function mayState(entry: OperatorEntry, { operator, created }: MediumStatement): boolean {
  return entry.fingerprint === operator && (entry.status === "present" || created <= entry.since)
}

function missingNumbers(all: ReadonlyMap<string, MediumStatement>): Problem[] {
  const seen = new Map<string, Set<number>>()
  for (const { medium, number } of all.values()) {
    const numbers = seen.get(medium) ?? new Set()
    seen.set(medium, numbers.add(number))
  }
  return [...seen].flatMap(([medium, numbers]) => {
    const most = Math.max(...numbers)
    const missing = Array.from({ length: most }, (_, i) => i + 1).filter((each) => !numbers.has(each))
    const why = `has ${most} statements, and ${missing.length} of them are missing; its next sync brings them back`
    return missing.length === 0 ? [] : [{ fault: "tampered" as const, object: `media/ of ${medium}`, why }]
  })
}

/** What the statements say of one medium. */
export interface Medium {
  readonly id: string
  readonly set: string
  /** The last statement that says anything of it. */
  last: MediumStatement
  /** Time of the last sync, and of the last scrub; `null` before the first. */
  synced: string | null
  scrubbed: string | null
  /** Lost or destroyed. */
  gone: boolean
  /** By `runKey`: runs of which it has anything. */
  readonly runs: Map<string, HeldRun>
}

/** By id. */
export function foldStatements({ all }: Pick<Statements, "all">): Map<string, Medium> {
  const media = new Map<string, Medium>()
  for (const statement of all.values()) {
    const { medium: id, set, action, created } = statement
    const empty = { id, set, last: statement, synced: null, scrubbed: null, gone: false, runs: new Map() }
    const medium: Medium = media.get(id) ?? empty
    media.set(id, medium)
    medium.last = statement
    if (action === "sync") medium.synced = created
    if (action === "scrub") medium.scrubbed = created
    medium.gone = action === "forget" || action === "destroy"
    for (const line of statement.runs) {
      const held = parseHeldLine(line)
      if (held === null) continue
      if (held.holding === "none" && held.volumes === "" && held.catalogues === "") medium.runs.delete(runKey(held))
      else medium.runs.set(runKey(held), held)
    }
  }
  return media
}

/** What media restore, the runs that need others of a set only while all of them are there. */
export function restores(medium: Medium, held: HeldRun, media: ReadonlyMap<string, Medium>): boolean {
  if (medium.gone) return false
  if (held.holding === "alone") return true
  return held.holding === "set" && medium.last.mates.every((mate) => media.get(mate)?.gone === false)
}

/**
 * Signs the statement and stores it in `places`, one after the other: that which is there already counts as stored.
 * @param id of the form of a run id
 */
export async function publishStatement(
  statement: MediumStatement,
  id: string,
  signer: Signer,
  places: readonly (ArchiveReader & ArchiveWriter)[],
  signal: AbortSignal,
): Promise<void> {
  const bytes = mediumCodec.encode(statement)
  const signature = await signer.detached(bytes, signal)
  const name = names.medium(id)
  for (const place of places) await storeSigned(place, name, bytes, signature, signal)
}

/** Copies a statement with its signature from one store to another that lacks it. */
export async function carryStatement(
  name: string,
  from: ArchiveReader,
  to: ArchiveReader & ArchiveWriter,
  signal: AbortSignal,
): Promise<void> {
  const bytes = await readObject(from, name, signal)
  const signature = await readObject(from, `${name}.sig`, signal)
  if (bytes !== null && signature !== null) await storeSigned(to, name, bytes, signature, signal)
}

async function storeSigned(
  place: ArchiveReader & ArchiveWriter,
  name: string,
  bytes: Uint8Array,
  signature: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const parts = [
    [name, bytes],
    [`${name}.sig`, signature],
  ] as const
  for (const [part, body] of parts)
    try {
      await place.create(part, [body], sha256(body), signal)
    } catch (error) {
      if (!isFault(error, "conflict")) throw error
    }
}

/** Which media say that they have the object, the last synced first. @param name `backup/<source>/<run>/<base>` */
export function holdersOf(media: ReadonlyMap<string, Medium>, name: string): Medium[] {
  const path = parseRunPath(name)
  const object = path === null ? null : parseRunObject(path.base)
  if (path === null || object === null) return []
  const has = ({ runs, gone }: Medium): boolean => {
    const held = runs.get(runKey(path))
    if (gone || held === undefined) return false
    if (object.kind !== "volume" && object.kind !== "catalogue") return true
    const { number } = object
    const ranges = parseRanges(object.kind === "volume" ? held.volumes : held.catalogues) ?? []
    return ranges.some(([first, last]) => first <= number && number <= last)
  }
  return [...media.values()].filter(has).sort((a, b) => ((a.synced ?? "") < (b.synced ?? "") ? 1 : -1))
}
