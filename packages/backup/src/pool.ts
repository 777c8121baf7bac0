// The worker threads, seen from the main thread: scans and packs as plain promises and iterations.

import { Worker } from "node:worker_threads"
import type { FileToRead, Frame, FromWorker, Piece, ToWorker, WorkerSetup } from "./messages.ts"
import type { Chunks } from "./pack.ts"

interface Job {
  receive(message: FromWorker): void
  fail(error: unknown): void
}

/** A fixed number of worker threads. Whoever opens it closes it. */
export class Pool implements AsyncDisposable {
  readonly #workers: Worker[] = []
  readonly #load: number[] = []
  readonly #jobs = new Map<number, Job>()
  #next = 0

  constructor(size: number, setup: WorkerSetup) {
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

  /** Starts to read at once; the pieces come in order, at most two ahead of the caller. */
  scan(files: readonly FileToRead[]): AsyncGenerator<Piece, void, undefined> {
    const { job, worker } = this.#start()
    const ready: Piece[] = []
    const failures: unknown[] = []
    let wake: (() => void) | null = null
    this.#jobs.set(job, {
      receive: (message) => {
        if (message.type === "piece") ready.push(message.piece)
        if (message.type === "failed") failures.push(message.error)
        wake?.()
      },
      fail: (error) => {
        failures.push(error)
        wake?.()
      },
    })
    this.#post(worker, { type: "scan", job, files })
    const finish = (): void => {
      this.#end(job, worker)
      this.#post(worker, { type: "cancel", job })
    }
    const post = (): void => {
      this.#post(worker, { type: "more", job })
    }
    return (async function* () {
      try {
        for (;;) {
          const piece = ready.shift()
          if (piece !== undefined) {
            if (!piece.last) post()
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

  /** Packs chunks into frames; their buffer is gone afterwards. */
  async pack(chunks: Chunks): Promise<readonly Frame[]> {
    const { job, worker } = this.#start()
    try {
      return await new Promise<readonly Frame[]>((resolve, reject) => {
        const fail = (error: unknown): void => {
          reject(error instanceof Error ? error : new Error("a worker thread failed", { cause: error }))
        }
        this.#jobs.set(job, {
          receive: (message) => {
            if (message.type === "packed") resolve(message.frames)
            else if (message.type === "failed") fail(message.error)
          },
          fail,
        })
        this.#post(worker, { type: "pack", job, ...chunks }, [chunks.buffer])
      })
    } finally {
      this.#end(job, worker)
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

  #post(worker: number, message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#workers[worker]?.postMessage(message, transfer)
  }
}
