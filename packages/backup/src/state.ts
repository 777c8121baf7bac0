// What the last run left for the next: its catalogue and root, sealed with the source's secret. It is a cache. Whatever is
// missing, damaged or of another run makes it worthless, and then everything is read again.

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
  /** The catalogue's text; throws `tampered` at the end if it is not what the root says. */
  catalogue(): AsyncGenerator<Uint8Array, void, undefined>
}

/** The state that the given run left; `null` if there is none that can be used. */
export async function loadState(deps: StateDeps, run: string, number: number): Promise<State | null> {
  try {
    const base = names.root(number)
    const object = names.stateDirectory(deps.source, run) + base
    if ((await deps.reader.stat(object, deps.signal)) === null) return null
    const root = decodeRoot(await openState(deps, run, base), object)
    if (root.run !== run || root.source !== deps.source || root.number !== number) return null
    return { root, catalogue: () => readState(deps, root) }
  } catch (error) {
    if (isUseless(error)) return null
    throw error
  }
}

/** Whether an error says that the state can't be used, and not that the store can't be reached. */
export function isUseless(error: unknown): boolean {
  return isFault(error, "tampered") || isFault(error, "not-found") || isFault(error, "refused")
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
  const sealed = deps.reader.read(names.stateDirectory(deps.source, run) + base, deps.signal)
  const pieces: Uint8Array[] = []
  for await (const piece of deps.opener.open(sealed, statePassphrase(deps.secret, run, base), deps.signal))
    pieces.push(piece)
  return Buffer.concat(pieces)
}
