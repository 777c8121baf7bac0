// What the last run left for the next: its catalogue and root, sealed with the source's secret. It is a cache. Whatever is
// missing, damaged, of another run or kept from this process makes it worthless, and then everything is read again.

import { createHash } from "node:crypto"
import {
  BackupError,
  type ChunkRef,
  decodeRoot,
  isFault,
  names,
  type Root,
  statePassphrase,
  unpackVolume,
} from "@backup-cloud/format"
import type { PassphraseOpener } from "@backup-cloud/openpgp"
import type { ArchiveReader } from "@backup-cloud/store"
import { decodeUnfinished } from "./unfinished.ts"

/** Catalogue volumes kept open at once, of at most 32 MiB each: changed chunks lie between unchanged ones. */
const OPEN_VOLUMES = 3

export interface StateDeps {
  readonly reader: ArchiveReader
  readonly opener: PassphraseOpener
  /** The source's secret, 32 bytes. */
  readonly secret: Uint8Array
  readonly source: string
  readonly signal: AbortSignal
}

export interface State {
  readonly root: Root
  /** Of a checkpoint: chunks of what the run had begun to read and not read to its end. */
  readonly unfinished: readonly ChunkRef[]
  /** The catalogue's text; throws `tampered` at the end if it is not what the root says. */
  catalogue(): AsyncGenerator<Uint8Array, void, undefined>
}

/** Why a state can't be used. `denied`: the store gives no right to read it, which is the only one that does not pass. */
export interface Flaw {
  readonly why: "missing" | "damaged" | "denied"
  /** The error's words, which name the object. */
  readonly message: string
}

/** The state that a run left with the receipt of this number, or why it can't be used. */
export async function loadState(deps: StateDeps, run: string, number: number): Promise<State | Flaw> {
  const base = names.root(number)
  const object = names.stateDirectory(deps.source, run) + base
  try {
    if ((await deps.reader.stat(object, deps.signal)) === null)
      return { why: "missing", message: `${object} is not there` }
    const root = decodeRoot(await openState(deps, run, base), object)
    if (root.run !== run || root.source !== deps.source || root.number !== number)
      return { why: "damaged", message: `${object} is of another run` }
    const isCheckpoint = root.outcome === "checkpoint"
    const unfinished = isCheckpoint ? await loadUnfinished(deps, run) : []
    return { root, unfinished, catalogue: () => readState(deps, root) }
  } catch (error) {
    return flawOf(error)
  }
}

/** Without it the run builds on the state all the same, and stores more. */
async function loadUnfinished(deps: StateDeps, run: string): Promise<readonly ChunkRef[]> {
  const object = names.stateDirectory(deps.source, run) + names.unfinished
  if ((await deps.reader.stat(object, deps.signal)) === null) return []
  return decodeUnfinished(await openState(deps, run, names.unfinished))
}

/** The flaw that an error stands for. Throws the error if it says that the store can't be reached, or anything else. */
export function flawOf(error: unknown): Flaw {
  if (isFault(error, "not-found")) return { why: "missing", message: error.message }
  if (isFault(error, "tampered")) return { why: "damaged", message: error.message }
  if (isFault(error, "refused")) return { why: "denied", message: error.message }
  throw error
}

async function* readState(deps: StateDeps, root: Root): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash("sha256")
  const open = new Map<string, Map<string, Buffer>>()
  for (const chunk of root.catalogue.chunks) {
    const key = `${chunk.run} ${chunk.volume}`
    const members = open.get(key) ?? (await openVolume(deps, chunk))
    // The most recently used come last.
    open.delete(key)
    open.set(key, members)
    for (const oldest of open.keys()) if (open.size > OPEN_VOLUMES) open.delete(oldest)
    const bytes = members.get(chunk.id)
    if (bytes?.length !== chunk.length) throw new BackupError("tampered", `the state of ${root.run} lacks a chunk`)
    hash.update(bytes)
    yield bytes
  }
  if (hash.digest("hex") !== root.catalogue.sha256)
    throw new BackupError("tampered", `the state of ${root.run} is not whole`)
}

async function openVolume(deps: StateDeps, chunk: ChunkRef): Promise<Map<string, Buffer>> {
  const base = names.catalogue(chunk.volume)
  const members = await unpackVolume(await openState(deps, chunk.run, base), base)
  return new Map(members.map((member) => [member.id, member.bytes]))
}

async function openState(deps: StateDeps, run: string, base: string): Promise<Uint8Array> {
  const object = names.stateDirectory(deps.source, run) + base
  const unread: unknown[] = []
  const sealed = (async function* () {
    try {
      yield* deps.reader.read(object, deps.signal)
    } catch (error) {
      unread.push(error)
      throw error
    }
  })()
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of deps.opener.open(sealed, statePassphrase(deps.secret, run, base), deps.signal))
      pieces.push(Uint8Array.from(piece)) // it is valid until the next is asked for
  } catch (error) {
    if (unread.length > 0) throw unread[0]
    // A message that its passphrase does not open is as good as a damaged one: only the store may say `refused`.
    if (!isFault(error, "refused") && !isFault(error, "tampered")) throw error
    throw new BackupError("tampered", `${object} does not open with the source's secret`, { cause: error })
  }
  return Buffer.concat(pieces)
}
