// From the root to the entries of a run: root, then the catalogue's chunks in order, then its text. The text's digest is
// known only at its end, so nothing may be acted on before the iteration has ended without a throw.

import { createHash } from "node:crypto"
import {
  BackupError,
  type CatalogueEntry,
  type ChunkRef,
  decodeRoot,
  names,
  type Root,
  readCatalogue,
  unpackVolume,
} from "@backup-cloud/format"
import { openObject } from "./open.ts"
import { locate, locateBase, type RunReader } from "./view.ts"

/** Most bytes of chunks kept from catalogue volumes until the text gets there. */
const MOST_KEPT = 67_108_864

/**
 * Opens the root of the run's highest number and checks that it is the one the receipt belongs to. Throws `refused` for a
 * failed run.
 */
export async function openRoot(view: RunReader, signal: AbortSignal): Promise<Root> {
  const { receipt, source, run, number } = view.run
  if (receipt.outcome === "failed") throw new BackupError("refused", `run ${run} failed: there is nothing to restore`)
  const located = locateBase(view, run, names.root(number))
  const root = decodeRoot(await openObject(view, located, signal), located.name)
  const same =
    root.archive === receipt.archive &&
    root.source === source &&
    root.run === run &&
    root.number === number &&
    root.kind === receipt.kind &&
    root.outcome === receipt.outcome
  if (!same) throw new BackupError("tampered", `${located.name}: belongs to another run than its receipt`)
  return root
}

/**
 * The entries of the run that may come back, in order. Throws `tampered` at the end if the catalogue is not what the root
 * says.
 */
export function catalogueEntries(view: RunReader, root: Root, signal: AbortSignal): AsyncIterable<CatalogueEntry> {
  return view.erasing.entries(() => allEntries(view, root, signal))
}

/** As `catalogueEntries`, with those that may not come back: to tell what lies where, not to bring it back. */
export async function* allEntries(
  view: RunReader,
  root: Root,
  signal: AbortSignal,
): AsyncGenerator<CatalogueEntry, void, undefined> {
  let entries = 0
  let bytes = 0
  let errors = 0
  for await (const entry of readCatalogue(catalogueText(view, root, signal))) {
    entries++
    bytes += entry.size
    if (entry.attributes.has("error")) errors++
    yield entry
  }
  if (entries !== root.entries || bytes !== root.bytes || errors !== root.errors)
    throw new BackupError("tampered", `${root.run}: the catalogue's totals are not those of the root`)
}

/** The catalogue's text. Throws `tampered` at the end if its digest is not the root's. */
export async function* catalogueText(
  view: RunReader,
  root: Root,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash("sha256")
  for await (const piece of catalogueChunks(view, root, signal)) {
    if (!(piece instanceof Uint8Array)) throw piece
    hash.update(piece)
    yield piece
  }
  if (hash.digest("hex") !== root.catalogue.sha256)
    throw new BackupError("tampered", `${root.run}: the catalogue is not the one that the root names`)
}

/** The chunks of the catalogue in order; in place of one that cannot be had, the error that says why. */
export async function* catalogueChunks(
  view: RunReader,
  root: Root,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array | BackupError, void, undefined> {
  const { chunks } = root.catalogue
  const opened = new Map<string, Map<string, Buffer> | BackupError>()
  for (const chunk of chunks) {
    const key = `${chunk.run} ${chunk.volume}`
    let volume = opened.get(key)
    if (volume === undefined) {
      const wanted = chunks.filter((c) => c.run === chunk.run && c.volume === chunk.volume)
      volume = await openVolume(view, wanted, signal)
      opened.set(key, volume)
      makeRoom(opened)
    }
    yield volume instanceof BackupError ? volume : (volume.get(chunk.id) ?? missing(chunk))
  }
}

/** Chunks of one catalogue volume by id, copied out of it so that the rest can go. */
async function openVolume(
  view: RunReader,
  wanted: readonly ChunkRef[],
  signal: AbortSignal,
): Promise<Map<string, Buffer> | BackupError> {
  const [first] = wanted
  if (first === undefined) return new Map()
  try {
    const located = locate(view, "catalogue", first.run, first.volume)
    const members = await unpackVolume(await openObject(view, located, signal), located.name)
    const lengths = new Map(wanted.map((c) => [c.id, c.length]))
    const kept = members.filter((m) => lengths.get(m.id) === m.bytes.length)
    return new Map(kept.map((m) => [m.id, Buffer.from(m.bytes)]))
  } catch (error) {
    if (error instanceof BackupError && (error.fault === "tampered" || error.fault === "incomplete")) return error
    throw error
  }
}

function makeRoom(opened: Map<string, Map<string, Buffer> | BackupError>): void {
  const size = (volume: Map<string, Buffer> | BackupError): number =>
    volume instanceof BackupError ? 0 : [...volume.values()].reduce((sum, bytes) => sum + bytes.length, 0)
  let total = [...opened.values()].reduce((sum, volume) => sum + size(volume), 0)
  for (const [key, volume] of opened) {
    if (total <= MOST_KEPT || opened.size === 1) return
    total -= size(volume)
    opened.delete(key)
  }
}

function missing(chunk: ChunkRef): BackupError {
  const base = names.catalogue(chunk.volume)
  return new BackupError("tampered", `${chunk.run}/${base}: does not hold ${chunk.id} as the root has it`)
}
