// The worker threads, seen from the main thread: scans and packs as plain promises and iterations.

import { Worker } from "node:worker_threads"
import {
  type Chunks,
  type FileToRead,
  type Frame,
  type FromWorker,
  type Piece,
  SLOT,
  type ToWorker,
  type WorkerSetup,
} from "./messages.ts"

/** Pieces in memory, wherever they are on their way. */
const SLOTS = 6
/** Slots that one scan may fill ahead of whoever takes its pieces. */
const AHEAD = 2

interface Job {
  /** Slots that it was given and that did not come back as a piece; `null` once it needs none. */
  slots: Set<number> | null
  receive(message: FromWorker): void
  fail(error: unknown): void
}

/** A fixed number of worker threads. Whoever opens it closes it. */
export class Pool implements AsyncDisposable {
  readonly #workers: Worker[] = []
  readonly #load: number[] = []
  readonly #jobs = new Map<number, Job>()
  #next = 0
  readonly #slots = Array.from({ length: SLOTS }, (_, slot) => slot)
  /** Jobs that want one, first come, first served. */
  readonly #wanting: { readonly job: number; readonly worker: number }[] = []

  constructor(size: number, naming: Omit<WorkerSetup, "slots">) {
    const slots = Array.from({ length: SLOTS }, () => new SharedArrayBuffer(SLOT))
    const setup: WorkerSetup = { ...naming, slots }
    for (let i = 0; i < size; i++) {
      const worker = new Worker(new URL(import.meta.resolve("#worker")), {
        workerData: setup,
        // Text and small objects only; the bytes lie outside the heap.
        resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 },
      })
      worker.on("message", (message: FromWorker) => this.#jobs.get(message.job)?.receive(message))
      worker.on("error", (error) => {
        for (const job of [...this.#jobs.values()]) job.fail(error)
      })
      this.#workers.push(worker)
      this.#load.push(0)
    }
  }

  /**
   * Starts to read at once; the pieces come in order, at most two ahead of the caller. Each is in a slot, which `pack`
   * frees; one left in the middle keeps its slots until the pool is closed.
   */
  scan(files: readonly FileToRead[]): AsyncGenerator<Piece, void, undefined> {
    const { job, worker } = this.#start()
    const ready: Piece[] = []
    const failures: unknown[] = []
    let wake: (() => void) | null = null
    const entry: Job = {
      slots: new Set(),
      receive: (message) => {
        if (message.type === "piece") {
          ready.push(message.piece)
          this.#used(entry, message.piece)
        }
        if (message.type === "failed") failures.push(message.error)
        wake?.()
      },
      fail: (error) => {
        failures.push(error)
        wake?.()
      },
    }
    this.#jobs.set(job, entry)
    this.#post(worker, { type: "scan", job, files })
    for (let i = 0; i < AHEAD; i++) this.#want(job, worker)
    const finish = (): void => {
      this.#end(job, worker)
      this.#post(worker, { type: "cancel", job })
    }
    const more = (): void => {
      this.#want(job, worker)
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

  /** Packs chunks into frames, and frees their slot. */
  async pack(chunks: Chunks): Promise<readonly Frame[]> {
    if (chunks.ids.length === 0) {
      this.#free(chunks.slot)
      return []
    }
    const { job, worker } = this.#start()
    try {
      return await new Promise<readonly Frame[]>((resolve, reject) => {
        const fail = (error: unknown): void => {
          reject(error instanceof Error ? error : new Error("a worker thread failed", { cause: error }))
        }
        this.#jobs.set(job, {
          slots: null,
          receive: (message) => {
            if (message.type === "packed") resolve(message.frames)
            else if (message.type === "failed") fail(message.error)
          },
          fail,
        })
        this.#post(worker, { type: "pack", job, chunks })
      })
    } finally {
      this.#end(job, worker)
      this.#free(chunks.slot)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #start(): { job: number; worker: number } {
    const worker = this.#load.indexOf(Math.min(...this.#load))
    this.#load[worker] = (this.#load[worker] ?? 0) + 1
    return { job: this.#next++, worker }
  }

  #end(job: number, worker: number): void {
    this.#jobs.delete(job)
    this.#load[worker] = (this.#load[worker] ?? 1) - 1
  }

  #post(worker: number, message: ToWorker): void {
    this.#workers[worker]?.postMessage(message)
  }

  #want(job: number, worker: number): void {
    this.#wanting.push({ job, worker })
    this.#grant()
  }

  /** After its last piece a scan touches none of its other slots any more. */
  #used(job: Job, piece: Piece): void {
    job.slots?.delete(piece.slot)
    if (!piece.last) return
    const unused = job.slots ?? []
    job.slots = null
    for (const slot of unused) this.#free(slot)
  }

  #free(slot: number): void {
    this.#slots.push(slot)
    this.#grant()
  }

  #grant(): void {
    while (this.#slots.length > 0) {
      const next = this.#wanting.shift()
      if (next === undefined) return
      const given = this.#jobs.get(next.job)?.slots ?? null
      if (given === null) continue
      const slot = this.#slots.pop() as number
      given.add(slot)
      this.#post(next.worker, { type: "slot", job: next.job, slot })
    }
  }
}
