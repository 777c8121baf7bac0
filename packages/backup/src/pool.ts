// The worker threads, seen from the main thread: scans and packs as plain promises and iterations.

import type { FileHandle } from "node:fs/promises"
import { Worker } from "node:worker_threads"
import { chunkKey, cutTable } from "@backup-cloud/format"
import type { SealedTo } from "@backup-cloud/openpgp"
import type { Bundled } from "./bundles.ts"
import {
  type Chunks,
  type Digest,
  type FileToRead,
  type FromWorker,
  type Piece,
  receivedError,
  SLOT,
  type StreamPart,
  type ToWorker,
  type WorkerSetup,
} from "./messages.ts"
import type { Slot } from "./piece.ts"

/** Pieces in memory, wherever they are on their way. */
const SLOTS = 8
/** Slots that one scan may fill ahead of whoever takes its pieces. */
const AHEAD = 3

/** How long a worker is busy with each, beside the other. */
const READING = 3
/** Packing a piece, or the digest of a volume. */
const PACKING = 1

interface Job {
  receive(message: FromWorker): void
  fail(error: unknown): void
}

/** A piece, and who may pack it. */
export interface ReadPiece extends Piece {
  readonly job: number
  /** The worker that packs all pieces of the job, where it hashes long files of it. */
  readonly packer: number
}

export interface PackedPiece {
  /** Of the new chunks. They lie in the piece's slot, which whoever has used them frees. */
  readonly frames: readonly Bundled[]
  /** Hex, of the files whose digest came `LATER` and of those that failed, in order. */
  readonly digests: readonly string[]
}

export interface Cutting {
  /** @param parts what lies in the slot from `STREAM_START` on @param last no more of the job follows */
  cut(slot: Slot, parts: readonly StreamPart[], last: boolean): Promise<ReadPiece>
  end(): void
}

/** Worker threads for the backup of a source; it takes them a while to be ready. @param secret of the source */
export function startWorkers(count: number, secret: Uint8Array): Pool {
  return new Pool(count, { chunkKey: chunkKey(secret), cutTable: cutTable(secret) })
}

/** A fixed number of worker threads. Whoever opens it closes it. */
export class Pool implements AsyncDisposable {
  readonly #workers: Worker[] = []
  readonly #load: number[] = []
  readonly #jobs = new Map<number, Job>()
  #next = 0
  readonly #slots = Array.from({ length: SLOTS }, (_, slot) => slot)
  /** Those that want a slot, first come, first served; `false` if it is not wanted any more. */
  readonly #wanting: ((slot: number) => boolean)[] = []
  readonly #memory: readonly SharedArrayBuffer[]
  /** Of a worker, which answers nothing any more. */
  #failure: { readonly error: unknown } | null = null

  constructor(size: number, naming: Omit<WorkerSetup, "slots">) {
    this.#memory = Array.from({ length: SLOTS }, () => new SharedArrayBuffer(SLOT))
    const setup: WorkerSetup = { ...naming, slots: this.#memory }
    for (let i = 0; i < size; i++) {
      const worker = new Worker(new URL(import.meta.resolve("#worker")), {
        workerData: setup,
        // Text and small objects only; the bytes lie outside the heap.
        resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 },
      })
      worker.on("message", (message: FromWorker) => this.#jobs.get(message.job)?.receive(message))
      worker.on("error", (error) => {
        this.#failure ??= { error }
        for (const job of [...this.#jobs.values()]) job.fail(error)
      })
      this.#workers.push(worker)
      this.#load.push(0)
    }
  }

  /**
   * Starts to read at once; the pieces come in order, at most two ahead of the caller. Each is in a slot, which its
   * taker frees; one left in the middle keeps its slots until the pool is closed.
   */
  scan(files: readonly FileToRead[]): AsyncGenerator<ReadPiece, void, undefined> {
    const { job, worker, packer } = this.#start(READING)
    const ready: ReadPiece[] = []
    const failures: unknown[] = []
    let wake: (() => void) | null = null
    /** Slots that it was given and that did not come back as a piece; `null` once it needs none. */
    let given: Set<number> | null = new Set()
    const receive = (message: FromWorker): void => {
      if (message.type === "failed") failures.push(message.error)
      if (message.type === "piece") {
        ready.push({ ...message.piece, job, packer })
        given?.delete(message.piece.slot)
        // After its last piece a scan touches none of the others any more.
        const unused = message.piece.last ? (given ?? []) : []
        if (message.piece.last) given = null
        for (const slot of unused) this.free(slot)
      }
      wake?.()
    }
    const fail = (error: unknown): void => {
      failures.push(error)
      wake?.()
    }
    this.#jobs.set(job, { receive, fail })
    this.#post(worker, { type: "scan", job, files })
    const more = (): void => {
      this.#want((slot) => {
        given?.add(slot)
        if (given !== null) this.#post(worker, { type: "slot", job, slot })
        return given !== null
      })
    }
    for (let i = 0; i < AHEAD; i++) more()
    const finish = (): void => {
      this.#end(job, worker, READING)
      this.#post(worker, { type: "cancel", job })
    }
    return (async function* () {
      try {
        for (;;) {
          const piece = ready.shift()
          if (piece !== undefined) {
            if (!piece.last) more()
            yield piece
            if (piece.last) return
          } else if (failures.length > 0) {
            throw failures[0]
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve
            })
            wake = null
          }
        }
      } finally {
        finish()
      }
    })()
  }

  /** A slot for the main thread to fill; `cut` takes it over. */
  async take(): Promise<Slot> {
    const number = await new Promise<number>((resolve) => {
      this.#want((slot) => {
        resolve(slot)
        return true
      })
    })
    return { number, bytes: Buffer.from(this.#memory[number] as SharedArrayBuffer) }
  }

  /** Cuts streams that are put into slots; one after the other, the pieces in the same order. Whoever opens it ends it. */
  cutting(): Cutting {
    const { job, worker, packer } = this.#start(READING)
    const waiting: PromiseWithResolvers<ReadPiece>[] = []
    const fail = (error: unknown): void => {
      for (const each of waiting.splice(0)) each.reject(receivedError(error))
    }
    this.#jobs.set(job, {
      receive: (message) => {
        if (message.type === "piece") waiting.shift()?.resolve({ ...message.piece, job, packer })
        if (message.type === "failed") fail(message.error)
      },
      fail,
    })
    return {
      cut: async (slot, parts, last) => {
        const piece = Promise.withResolvers<ReadPiece>()
        waiting.push(piece)
        this.#post(worker, { type: "cut", job, slot: slot.number, parts, last })
        return await piece.promise
      },
      end: () => {
        this.#end(job, worker, READING)
        this.#post(worker, { type: "cancel", job })
      },
    }
  }

  /** Packs those of the piece's chunks that `fresh` names by their position. Of one job, to be called in order of the pieces. */
  async pack(piece: ReadPiece, fresh: readonly number[]): Promise<PackedPiece> {
    const unhashed = piece.parts.flatMap((part) => part.unhashed ?? [])
    if (fresh.length === 0 && unhashed.length === 0) return { frames: [], digests: [] }
    const { job, worker } = this.#start(PACKING, unhashed.length === 0 ? null : piece.packer)
    const packed = Promise.withResolvers<Extract<FromWorker, { type: "packed" }>>()
    const memory = this.#memory[piece.slot] as SharedArrayBuffer
    const fail = (error: unknown): void => {
      packed.reject(receivedError(error))
    }
    this.#jobs.set(job, {
      receive: (message) => {
        if (message.type === "packed") packed.resolve(message)
        else if (message.type === "failed") fail(message.error)
      },
      fail,
    })
    const chunks: Chunks = {
      slot: piece.slot,
      ids: fresh.map((i) => piece.ids[i] ?? ""),
      offsets: fresh.map((i) => piece.offsets[i] ?? 0),
      lengths: fresh.map((i) => piece.lengths[i] ?? 0),
    }
    this.#post(worker, { type: "pack", job, chunks, from: piece.job, unhashed })
    try {
      const { frames, digests } = await packed.promise
      const bundled = frames.map(({ place, tarBytes, count }) => ({
        bytes: place instanceof Uint8Array ? place : Buffer.from(memory, place.start, place.end - place.start),
        tarBytes,
        count,
      }))
      return { frames: bundled, digests }
    } finally {
      this.#end(job, worker, PACKING)
    }
  }

  /** Gives the slot of a piece back. */
  free(slot: number): void {
    this.#slots.push(slot)
    this.#grant()
  }

  /** Length and SHA-256 of a sealed message in a file, which is read whole; throws as `checkSealed`. */
  async digest(file: FileHandle, to: SealedTo): Promise<Digest> {
    const { job, worker } = this.#start(PACKING)
    const digest = Promise.withResolvers<Digest>()
    this.#jobs.set(job, {
      receive: (message) => {
        if (message.type === "digested") digest.resolve(message.digest)
        else if (message.type === "failed") digest.reject(receivedError(message.error))
      },
      fail: (error) => {
        digest.reject(receivedError(error))
      },
    })
    this.#post(worker, { type: "digest", job, fd: file.fd, to })
    try {
      return await digest.promise
    } finally {
      this.#end(job, worker, PACKING)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  /** @param given the worker that must do it; the one with the least to do unless given */
  #start(load: number, given: number | null = null): { job: number; worker: number; packer: number } {
    const worker = given ?? this.#leastLoaded()
    this.#load[worker] = (this.#load[worker] ?? 0) + load
    return { job: this.#next++, worker, packer: this.#leastLoaded(worker) }
  }

  /** @param but another than this one, if there is another */
  #leastLoaded(but = -1): number {
    const others = [...this.#load.keys()].filter((worker) => worker !== but)
    return others.reduce(
      (least, each) => ((this.#load[each] ?? 0) < (this.#load[least] ?? 0) ? each : least),
      others[0] ?? 0,
    )
  }

  #end(job: number, worker: number, load: number): void {
    this.#jobs.delete(job)
    this.#load[worker] = (this.#load[worker] ?? load) - load
  }

  #post(worker: number, message: ToWorker): void {
    const failure = this.#failure
    if (failure === null) this.#workers[worker]?.postMessage(message)
    else queueMicrotask(() => this.#jobs.get(message.job)?.fail(failure.error))
  }

  #want(give: (slot: number) => boolean): void {
    this.#wanting.push(give)
    this.#grant()
  }

  #grant(): void {
    while (this.#slots.length > 0) {
      const give = this.#wanting.shift()
      if (give === undefined) return
      const slot = this.#slots.pop() as number
      if (!give(slot)) this.#slots.push(slot)
    }
  }
}
