// The content of one file into a pipe. Each piece comes out of an object that was verified whole; that the file is what
// the catalogue says is known only at the end, so a consumer must undo what it did if the iteration throws.
//
// Memory: one volume, sealed and opened, 64 MiB each, and chunks that lie in it before others that are wanted first.

import { createHash } from "node:crypto"
import {
  BackupError,
  type CatalogueEntry,
  type ChunkRef,
  escapeControl,
  fromByteString,
  volumeMembers,
} from "@backup-cloud/format"
import { openObject, type Rooms } from "./open.ts"
import { Room } from "./room.ts"
import { locate, type RunReader } from "./view.ts"

/**
 * @param entry with its chunks, as `catalogueEntries` gives it
 * Throws `tampered` at the end if the digest is not the entry's; `usage` for an entry without content. A piece is valid
 * until the next is asked for.
 */
export async function* fileContent(
  view: RunReader,
  entry: CatalogueEntry,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const path = escapeControl(fromByteString(entry.path))
  if (entry.type !== "f" || entry.sha256 === null)
    throw new BackupError("usage", `${path}: has no content in the backup`)
  const hash = createHash("sha256")
  const rooms = { sealed: new Room(1), plain: new Room(1), hasher: null }
  for (const stretch of stretches(entry.chunks)) {
    for await (const bytes of stretchContent(view, stretch, rooms, signal)) {
      hash.update(bytes)
      yield bytes
    }
  }
  if (hash.digest("hex") !== entry.sha256)
    throw new BackupError("tampered", `${path}: its content is not what the catalogue says`)
}

/** Chunks that follow each other in one volume. */
function stretches(chunks: readonly ChunkRef[]): ChunkRef[][] {
  const found: ChunkRef[][] = []
  for (const chunk of chunks) {
    const last = found.at(-1)
    if (last?.[0]?.run === chunk.run && last[0].volume === chunk.volume) last.push(chunk)
    else found.push([chunk])
  }
  return found
}

async function* stretchContent(
  view: RunReader,
  stretch: readonly ChunkRef[],
  rooms: Rooms,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const [first] = stretch
  if (first === undefined) return
  const located = locate(view, "volume", first.run, first.volume)
  /** How often each chunk is still to come. */
  const wanted = new Map<string, number>()
  for (const { id } of stretch) wanted.set(id, (wanted.get(id) ?? 0) + 1)
  const early = new Map<string, Buffer>()
  let next = 0
  const plain = await openObject(view, located, signal, rooms)
  try {
    for await (const { id, bytes } of volumeMembers(plain, located.name, signal)) {
      if (!wanted.has(id)) continue
      early.set(id, Buffer.from(bytes))
      for (let chunk = stretch[next]; chunk !== undefined; chunk = stretch[next]) {
        const ready = early.get(chunk.id)
        if (ready?.length !== chunk.length) break
        yield ready
        next++
        const left = (wanted.get(chunk.id) ?? 1) - 1
        wanted.set(chunk.id, left)
        if (left === 0) early.delete(chunk.id)
      }
    }
  } finally {
    rooms.plain.give(plain)
  }
  const missing = stretch[next]
  if (missing !== undefined)
    throw new BackupError("tampered", `${located.name}: does not hold chunk ${missing.id} as the catalogue has it`)
}
