// The records of what must not come back, as far as anybody can judge them without a key: numbered from 1 without gaps, each
// with the administrator's signature. What they say is sealed; that each continues the one before is found out by those who
// open them (package restore).
//
// A record without a signature is one whose recording was interrupted, or whose signature was taken away: nobody can tell,
// so nothing is restored until the administrator has finished it.

import { names } from "@backup-cloud/format"
import type { ArchiveReader } from "@backup-cloud/store"
import { readSigned } from "./chain.ts"
import type { Memory, TrustMemory } from "./memory.ts"
import { type Problem, problemError } from "./problems.ts"
import { readObject, sha256 } from "./read.ts"
import type { Trust } from "./trust.ts"

export interface SealedErasure {
  readonly number: number
  /** Of the object within the archive. */
  readonly name: string
  readonly sealed: Uint8Array
  /** Digest of `sealed`. */
  readonly sha256: string
}

export interface SealedErasures {
  /** From number 1 up. */
  readonly records: readonly SealedErasure[]
  /** Why there is no further one, where there should be; `null` if all is well. */
  readonly broken: Problem | null
  /** What else is wrong, and was judged not to change what counts. */
  readonly problems: readonly Problem[]
  /** The record after the last, if it lies there without a signature. */
  readonly unfinished: Uint8Array | null
}

const OBJECT = /^erasures\/([0-9]{6})\.json\.gpg(?:\.sig)?$/

export async function readErasures(trust: Trust, reader: ArchiveReader, signal: AbortSignal): Promise<SealedErasures> {
  const { verifier, administrator } = trust
  const listed = new Set<string>()
  for await (const { name } of reader.list("erasures/", signal)) listed.add(name)
  const problems: Problem[] = []
  const records: SealedErasure[] = []
  for (;;) {
    const number = records.length + 1
    const name = names.erasure(number)
    const sealed = await readSigned({ reader, verifier, administrator, problems, signal }, name)
    if (sealed !== null) {
      records.push({ number, name, sealed, sha256: sha256(sealed) })
      continue
    }
    const broken = whyEnded(number, listed, problems)
    const unsigned = listed.has(name) && !listed.has(`${name}.sig`)
    const unfinished = unsigned ? await readObject(reader, name, signal) : null
    return { records, broken, problems: problems.filter((each) => each !== broken), unfinished }
  }
}

/** What is wrong if no record `number` counts; `null` if it and all after it are simply not there. */
function whyEnded(number: number, listed: ReadonlySet<string>, problems: readonly Problem[]): Problem | null {
  const object = names.erasure(number)
  const beyond = [...listed].map((name) => Number(OBJECT.exec(name)?.[1] ?? 0))
  const highest = Math.max(0, ...beyond)
  if (highest < number) return problems.find((each) => each.object.startsWith(object)) ?? null
  if (listed.has(object) && !listed.has(`${object}.sig`))
    return {
      fault: "refused",
      object,
      why: "says what must not come back, and lacks the administrator's signature",
    }
  return (
    problems.find((each) => each.object.startsWith(object)) ?? {
      fault: "tampered",
      object,
      why: `is missing, and record ${highest} is there`,
    }
  )
}

/** What of the remembered is not there any more, as `alarm`. */
export function rolledBackErasures(memory: Memory | null, { records }: SealedErasures): Problem | null {
  const seen = memory?.erasures
  if (seen === undefined) return null
  const object = names.erasure(seen.number)
  const now = records[seen.number - 1]
  if (now === undefined)
    return { fault: "alarm", object, why: `was there before; ${records.length} such records are left` }
  return now.sha256 === seen.sha256 ? null : { fault: "alarm", object, why: "is another record than was seen before" }
}

/**
 * The records, after they were compared with what the machine remembers, which is then brought up to date. Throws `alarm` if
 * an older state was put back, `tampered` or `refused` if one does not count, `unavailable` if that cannot be told now.
 */
export async function knownErasures(
  trust: Trust,
  reader: ArchiveReader,
  home: TrustMemory,
  signal: AbortSignal,
): Promise<readonly SealedErasure[]> {
  const found = await readErasures(trust, reader, signal)
  if (found.broken !== null && found.unfinished === null)
    throw problemError(found.broken, "use a complete copy of the archive; backup-cloud verify lists what is wrong")
  await rememberErasures(home, found)
  if (found.broken !== null)
    throw problemError(found.broken, "have the administrator record it again: backup-cloud erase add finishes it")
  return found.records
}

/** Remembers the highest record. Throws `alarm` if the one that is remembered is gone or another. */
export async function rememberErasures(home: TrustMemory, found: SealedErasures): Promise<void> {
  const memory = await home.read()
  const gone = rolledBackErasures(memory, found)
  if (gone !== null)
    throw problemError(gone, "keep the archive as it is, and find out who put back an older state of it")
  const last = found.records.at(-1)
  if (memory === null || last === undefined || memory.erasures?.number === last.number) return
  await home.write({ ...memory, erasures: { number: last.number, sha256: last.sha256 } })
}
