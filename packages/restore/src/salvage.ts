// Entries out of a catalogue of which parts are damaged or missing. What stands whole between two holes is given; the
// entry that a hole cuts is not. A directory whose line is lost is made up, for the owner alone, so that what lies in it
// has a place. Nobody vouches for the whole: only file digests do, each for its file.

import {
  BackupError,
  type CatalogueEntry,
  type ChunkRef,
  parseChunkLine,
  parseEntryLine,
  pathKey,
  type Root,
} from "@backup-cloud/format"
import { catalogueChunks } from "./catalogue.ts"
import type { RunReader } from "./view.ts"

/** As `catalogueEntries`. @param onHole told for each part that could not be had, why; perhaps several times */
export function salvagedEntries(
  view: RunReader,
  root: Root,
  onHole: (why: BackupError) => void,
  signal: AbortSignal,
): AsyncIterable<CatalogueEntry> {
  return view.erasing.entries(() => allSalvaged(view, root, onHole, signal))
}

async function* allSalvaged(
  view: RunReader,
  root: Root,
  onHole: (why: BackupError) => void,
  signal: AbortSignal,
): AsyncGenerator<CatalogueEntry, void, undefined> {
  const order = new Order()
  let rest = ""
  /** The entry that is being read; `null` after a hole until the next one begins. */
  let open: { line: string; chunks: ChunkRef[] } | null = null
  /** Whether the line that is being read began in a hole. */
  let torn = false
  for await (const piece of catalogueChunks(view, root, signal)) {
    if (piece instanceof BackupError) {
      onHole(piece)
      // A whole entry cannot be told from one whose last chunk lines are gone but by its size, which `finished` checks.
      if (open !== null) yield* order.accept(finished(open))
      open = null
      rest = ""
      torn = true
      continue
    }
    const lines = (rest + Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString("latin1")).split("\n")
    rest = lines.pop() ?? ""
    if (torn && lines.length > 0) {
      lines.shift()
      torn = false
    }
    for (const line of lines) {
      if (line.startsWith("+")) open?.chunks.push(parseChunkLine(line))
      else {
        if (open !== null) yield* order.accept(finished(open))
        open = { line, chunks: [] }
      }
    }
  }
  if (open !== null) yield* order.accept(finished(open))
}

/** The entry, or `null` if not all of its chunk lines are there. */
function finished({ line, chunks }: { line: string; chunks: ChunkRef[] }): CatalogueEntry | null {
  const entry = parseEntryLine(line, chunks)
  const sum = chunks.reduce((total, chunk) => total + chunk.length, 0)
  return sum === (entry.sha256 === null ? 0 : entry.size) ? entry : null
}

class Order {
  #before: string | null = null
  /** Directories from the top to the last entry. */
  readonly #levels: string[] = []

  /** The entry, behind the directories that were lost with a hole. Throws `tampered` if it is out of order. */
  accept(entry: CatalogueEntry | null): CatalogueEntry[] {
    if (entry === null) return []
    const key = pathKey(entry.path)
    if (this.#before !== null && key <= this.#before)
      throw new BackupError("tampered", "catalogue: what is left of it is out of order")
    this.#before = key
    const parts = entry.path === "." ? [] : entry.path.split("/")
    const above = [
      ...(entry.path === "." ? [] : ["."]),
      ...parts.slice(0, -1).map((_, i) => parts.slice(0, i + 1).join("/")),
    ]
    const known = above.findIndex((path, i) => this.#levels[i] !== path)
    this.#levels.length = known < 0 ? above.length : known
    const lost = above.slice(this.#levels.length)
    this.#levels.push(...lost)
    if (entry.type === "d") this.#levels.push(entry.path)
    return [...lost.map(madeUp), entry]
  }
}

function madeUp(path: string): CatalogueEntry {
  return {
    type: "d",
    mode: 0o700,
    uid: 0,
    gid: 0,
    mtime: "0.000000000",
    size: 0,
    sha256: null,
    path,
    link: null,
    attributes: new Map(),
    chunks: [],
  }
}
