// From jobs to placed chunks: workers read, cut and name; here it is decided which chunks are new; workers pack those.
// Everything stays in the order of the jobs, and a few pieces are under way at any time.

import { type ChunkRef, inOrder } from "@backup-cloud/format"
import type { Bundles } from "./bundles.ts"
import type { Known } from "./chunk-index.ts"
import type { Job } from "./classify.ts"
import { feed } from "./feed.ts"
import { type FileEnd, LATER } from "./messages.ts"
import type { PackedPiece, Pool, ReadPiece } from "./pool.ts"

/** Jobs that are being scanned ahead, and pieces that are being packed. */
const JOBS_AHEAD = 2
const PIECES_AHEAD = 2

/** What is known of streams only once they are open, by position in the job's list. */
type Found = Map<number, ReadonlyMap<string, string>>

interface Started {
  readonly job: Job
  readonly found: Found
  readonly pieces: AsyncGenerator<ReadPiece, void, undefined> | null
}

interface Read {
  readonly job: Job
  readonly found: Found
  readonly piece: ReadPiece | null
  /** Which chunks of the piece are neither known nor being packed, by position. */
  readonly fresh: readonly number[]
}
type Packed = Read & PackedPiece

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
  /**
   * `null`, but where the reading was stopped: then this is the last, its job is as much of one as was read to its end, and these
   * are the chunks of what was not. They lie in volumes too.
   */
  readonly unfinished: readonly ChunkRef[] | null
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
  /**
   * Ends the reading, amidst a file too: that may take hours, and whoever stops a run does not wait that long. The jobs may
   * throw what they like then.
   */
  readonly stop: AbortSignal
  readonly signal: AbortSignal
}

interface FileSoFar {
  end: FileEnd | null
  chunks: ChunkRef[]
}

/** Reads the files of all jobs and puts what is new into volumes. */
export async function* place(deps: ReadDeps, jobs: AsyncIterable<Job>): AsyncGenerator<Placed, void, undefined> {
  let files: FileSoFar[] = []
  let begun: Pick<Started, "job" | "found"> | null = null
  for await (const { job, found, piece, fresh, frames, digests } of packed(deps, jobs)) {
    begun = { job, found }
    const volumes: number[] = []
    for (const frame of frames) {
      const volume = await deps.bundles.add(frame)
      for (let i = 0; i < frame.count; i++) volumes.push(volume)
    }
    if (piece !== null) {
      deps.pool.free(piece.slot)
      assign(deps, piece, { fresh, digests }, volumes, files)
      deps.onPlaced(piece.lengths.reduce((sum, length) => sum + length, 0))
    }
    if (piece !== null && !piece.last) continue
    const done = finished(files, found)
    if (done.length !== job.files.length + job.streams.length) throw new TypeError("a worker left a file out")
    files = []
    begun = null
    yield { job, files: done, unfinished: null }
  }
  if (deps.stop.aborted) yield soFar(begun, files)
}

/** Of files in order, those that were read to their end, up to the first that was not. */
function finished(files: readonly FileSoFar[], found: Found): ReadFile[] {
  const done: ReadFile[] = []
  for (const [i, { end, chunks }] of files.entries()) {
    if (end === null) break
    done.push({ end, chunks: end.sha256 === null ? [] : chunks, attributes: found.get(i) ?? NONE })
  }
  return done
}

/** What there is of the job that was being read. */
function soFar(begun: Pick<Started, "job" | "found"> | null, files: readonly FileSoFar[]): Placed {
  const items = begun?.job.items ?? []
  const done = begun === null ? [] : finished(files, begun.found)
  const end = items.findIndex(({ file }) => file >= done.length)
  return {
    job: { items: end < 0 ? items : items.slice(0, end), files: [], streams: [] },
    files: done,
    unfinished: files.slice(done.length).flatMap(({ chunks }) => chunks),
  }
}

/** Enters the new chunks where they came to lie and gives each file its references, and its end. */
function assign(
  deps: ReadDeps,
  piece: ReadPiece,
  { fresh, digests }: Pick<Packed, "fresh" | "digests">,
  volumes: readonly number[],
  files: FileSoFar[],
): void {
  for (const [position, at] of fresh.entries()) {
    const place = { run: deps.run, volume: volumes[position] ?? 0 }
    deps.known.set(piece.ids[at] ?? "", piece.lengths[at] ?? 0, place)
  }
  let at = 0
  let due = 0
  for (const { file: index, chunks, end, unhashed } of piece.parts) {
    const file = (files[index] ??= { end: null, chunks: [] })
    for (const last = at + chunks; at < last; at++) {
      const id = piece.ids[at] ?? ""
      const length = piece.lengths[at] ?? 0
      const place = deps.known.get(id, length)
      if (place === null || place.volume === 0) throw new TypeError("a chunk has no place")
      file.chunks.push({ id, length, run: place.run, volume: place.volume })
    }
    const digest = unhashed?.last === true ? (digests[due++] ?? LATER) : LATER
    file.end = end?.sha256 === LATER ? { ...end, sha256: digest } : end
    if (file.end?.sha256 === LATER) throw new TypeError("a file has no digest")
  }
}

async function* packed(deps: ReadDeps, jobs: AsyncIterable<Job>): AsyncGenerator<Packed, void, undefined> {
  const work = async (next: Read): Promise<Packed> => {
    const { piece, fresh } = next
    const packing = piece === null ? { frames: [], digests: [] } : await deps.pool.pack(piece, fresh)
    return { ...next, ...packing }
  }
  yield* inOrder(pieces(deps, jobs), PIECES_AHEAD, deps.signal, work)
}

async function* pieces(deps: ReadDeps, jobs: AsyncIterable<Job>): AsyncGenerator<Read, void, undefined> {
  const { stop } = deps
  try {
    for await (const started of inOrder(jobs, JOBS_AHEAD, deps.signal, (job) => start(deps, job))) {
      if (stop.aborted) return
      const { job, found } = started
      if (started.pieces === null) yield { job, found, piece: null, fresh: [] }
      else
        for await (const piece of whileWanted(started.pieces, stop))
          yield { job, found, piece, fresh: markFresh(deps, piece) }
    }
  } catch (error) {
    if (!stop.aborted) throw error
  }
}

async function* whileWanted<T>(input: AsyncIterable<T>, stop: AbortSignal): AsyncGenerator<T, void, undefined> {
  for await (const each of input) {
    yield each
    if (stop.aborted) return
  }
}

/** Files are read at once; streams, which cost more than a worker's time, when it is their turn. */
async function start({ pool, stop, signal }: ReadDeps, job: Job): Promise<Started> {
  const found: Found = new Map()
  if (job.files.length > 0) return { job, found, pieces: pool.scan(job.files) }
  if (job.streams.length === 0) return { job, found, pieces: null }
  return {
    job,
    found,
    pieces: feed(pool, job.streams, (file, attributes) => found.set(file, attributes), stop, signal),
  }
}

/** Decides which chunks are new, in order, and enters them as being packed, so that none is packed twice. */
function markFresh(deps: ReadDeps, piece: ReadPiece): number[] {
  const fresh: number[] = []
  for (const [i, id] of piece.ids.entries()) {
    const length = piece.lengths[i] ?? 0
    if (deps.known.get(id, length) !== null) continue
    deps.known.set(id, length, { run: deps.run, volume: 0 })
    fresh.push(i)
  }
  return fresh
}
