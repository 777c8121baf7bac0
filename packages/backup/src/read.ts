// From jobs to placed chunks: workers read, cut and name; here it is decided which chunks are new; workers pack those.
// Everything stays in the order of the jobs, and a few pieces are under way at any time.

import { type ChunkRef, inOrder } from "@backup-cloud/format"
import type { Bundled, Bundles } from "./bundles.ts"
import type { Known } from "./chunk-index.ts"
import type { Job } from "./classify.ts"
import { feed } from "./feed.ts"
import type { FileEnd, Piece } from "./messages.ts"
import type { Pool } from "./pool.ts"

/** Jobs that are being scanned ahead, and pieces that are being packed. */
const JOBS_AHEAD = 2
const PIECES_AHEAD = 2

/** What is known of streams only once they are open, by position in the job's list. */
type Found = Map<number, ReadonlyMap<string, string>>

interface Started {
  readonly job: Job
  readonly found: Found
  readonly pieces: AsyncGenerator<Piece, void, undefined> | null
}

interface Packed {
  readonly job: Job
  readonly found: Found
  readonly piece: Piece | null
  /** For each chunk of the piece: its position among the new ones, or -1 if it is known or being packed. */
  readonly fresh: Int32Array
  readonly frames: readonly Bundled[]
}

/** A file or stream whose content lies in volumes. */
export interface ReadFile {
  readonly end: FileEnd
  readonly chunks: readonly ChunkRef[]
  /** Of a stream: what was known only once it was open. */
  readonly attributes: ReadonlyMap<string, string>
}

/** A job whose content lies in volumes. */
export interface Placed {
  readonly job: Job
  /** By position in the job's list of files or streams. */
  readonly files: readonly ReadFile[]
}

const NONE: ReadonlyMap<string, string> = new Map()

export interface ReadDeps {
  readonly pool: Pool
  readonly known: Known
  readonly bundles: Bundles
  /** Id of the run. */
  readonly run: string
  /** Told of bytes of content that came to be placed, before the job that they are part of is. */
  readonly onPlaced: (bytes: number) => void
  readonly signal: AbortSignal
}

/** Reads the files of all jobs and puts what is new into volumes. */
export async function* place(deps: ReadDeps, jobs: AsyncIterable<Job>): AsyncGenerator<Placed, void, undefined> {
  let files: { end: FileEnd | null; chunks: ChunkRef[] }[] = []
  for await (const { job, found, piece, fresh, frames } of packed(deps, jobs)) {
    const volumes: number[] = []
    for (const frame of frames) {
      const volume = await deps.bundles.add(frame)
      for (let i = 0; i < frame.count; i++) volumes.push(volume)
    }
    if (piece !== null) {
      deps.pool.free(piece.slot)
      assign(deps, piece, fresh, volumes, files)
      deps.onPlaced(piece.lengths.reduce((sum, length) => sum + length, 0))
    }
    if (piece !== null && !piece.last) continue
    const done = files.flatMap(({ end, chunks }, i) =>
      end === null ? [] : [{ end, chunks: end.sha256 === null ? [] : chunks, attributes: found.get(i) ?? NONE }],
    )
    if (done.length !== job.files.length + job.streams.length) throw new TypeError("a worker left a file out")
    yield { job, files: done }
    files = []
  }
}

/** Enters the new chunks where they came to lie and gives each file its references. */
function assign(
  deps: ReadDeps,
  piece: Piece,
  fresh: Int32Array,
  volumes: readonly number[],
  files: { end: FileEnd | null; chunks: ChunkRef[] }[],
): void {
  let at = 0
  for (const part of piece.parts) {
    const file = (files[part.file] ??= { end: null, chunks: [] })
    for (const last = at + part.chunks; at < last; at++) {
      const id = piece.ids[at] ?? ""
      const length = piece.lengths[at] ?? 0
      const position = fresh[at] ?? -1
      const volume = position < 0 ? 0 : (volumes[position] ?? 0)
      if (position >= 0) deps.known.set(id, length, { run: deps.run, volume })
      const place = position < 0 ? deps.known.get(id, length) : { run: deps.run, volume }
      if (place === null || place.volume === 0) throw new TypeError("a chunk has no place")
      file.chunks.push({ id, length, run: place.run, volume: place.volume })
    }
    if (part.end !== null) file.end = part.end
  }
}

async function* packed(deps: ReadDeps, jobs: AsyncIterable<Job>): AsyncGenerator<Packed, void, undefined> {
  const work = async (next: Omit<Packed, "frames">): Promise<Packed> => {
    const { piece, fresh } = next
    if (piece === null) return { ...next, frames: [] }
    const ids: string[] = []
    const offsets: number[] = []
    const lengths: number[] = []
    for (let i = 0; i < fresh.length; i++) {
      if ((fresh[i] ?? -1) < 0) continue
      ids.push(piece.ids[i] ?? "")
      offsets.push(piece.offsets[i] ?? 0)
      lengths.push(piece.lengths[i] ?? 0)
    }
    return { ...next, frames: await deps.pool.pack({ slot: piece.slot, ids, offsets, lengths }) }
  }
  yield* inOrder(pieces(deps, jobs), PIECES_AHEAD, deps.signal, work)
}

async function* pieces(deps: ReadDeps, jobs: AsyncIterable<Job>) {
  for await (const started of inOrder(jobs, JOBS_AHEAD, deps.signal, (job) => start(deps, job))) {
    const { job, found } = started
    if (started.pieces === null) {
      yield { job, found, piece: null, fresh: new Int32Array(0) }
      continue
    }
    for await (const piece of started.pieces) yield { job, found, piece, fresh: markFresh(deps, piece) }
  }
}

/** Files are read at once; streams, which cost more than a worker's time, when it is their turn. */
async function start({ pool, signal }: ReadDeps, job: Job): Promise<Started> {
  const found: Found = new Map()
  if (job.files.length > 0) return { job, found, pieces: pool.scan(job.files) }
  if (job.streams.length === 0) return { job, found, pieces: null }
  return { job, found, pieces: feed(pool, job.streams, (file, attributes) => found.set(file, attributes), signal) }
}

/** Decides which chunks are new, in order, and enters them as being packed, so that none is packed twice. */
function markFresh(deps: ReadDeps, piece: Piece): Int32Array {
  const fresh = new Int32Array(piece.ids.length).fill(-1)
  let count = 0
  for (const [i, id] of piece.ids.entries()) {
    const length = piece.lengths[i] ?? 0
    if (deps.known.get(id, length) !== null) continue
    deps.known.set(id, length, { run: deps.run, volume: 0 })
    fresh[i] = count++
  }
  return fresh
}
