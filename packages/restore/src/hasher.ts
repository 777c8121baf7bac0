// SHA-256 in a thread of its own, while this one reads and writes. What is hashed lies in memory that both threads have from
// the beginning: handed over in messages, buffers would cost each of them collections of its whole heap.

import { hash } from "node:crypto"
import { Worker } from "node:worker_threads"
import type { FromHash, HashSetup, ToHash } from "./hash-worker.ts"

/** Bytes of the largest object that backups make. */
const OBJECT = 67_108_864
/** What is not worth a message, in bytes. */
const SMALL = 262_144
/** Bytes of a piece: the longest chunk. */
const PIECE = 4_194_304
/** Pieces under way. */
const AHEAD = 2

/** The digest of what comes piece by piece. */
export interface HashStream {
  /** Resolves when `bytes` were copied. */
  update(bytes: Uint8Array): Promise<void>
  /** Hex. The last call. */
  digest(): Promise<string>
}

/** Its thread begins with the first digest that is worth it. Whoever opens it closes it. */
export class Hasher implements AsyncDisposable {
  /** Memory for one object; what lies in it is hashed by the thread. */
  readonly object = new SharedArrayBuffer(OBJECT)
  readonly #pieces = Array.from({ length: AHEAD }, () => new SharedArrayBuffer(PIECE))
  readonly #free = this.#pieces.map((_, i) => i)
  #worker: Worker | null = null
  /** Those that wait for an answer; the thread answers in order. */
  readonly #waiting: PromiseWithResolvers<string>[] = []
  readonly #wanting: (() => void)[] = []
  #next = 0

  /** Hex; `bytes` must not change meanwhile. */
  async digest(bytes: Buffer): Promise<string> {
    if (bytes.buffer !== this.object || bytes.length < SMALL) return hash("sha256", bytes)
    return await this.#ask({
      key: this.#next++,
      piece: null,
      start: bytes.byteOffset,
      length: bytes.length,
      last: true,
    })
  }

  stream(): HashStream {
    const key = this.#next++
    return {
      update: async (bytes) => {
        for (let at = 0; at < bytes.length; at += PIECE) {
          const length = Math.min(PIECE, bytes.length - at)
          const piece = await this.#piece()
          // As `set` does, and several times as fast.
          Buffer.from(this.#pieces[piece] as SharedArrayBuffer).fill(bytes.subarray(at, at + length), 0, length)
          const free = (): void => {
            this.#free.push(piece)
            this.#wanting.shift()?.()
          }
          // That the thread failed is told by `digest`.
          void this.#ask({ key, piece, start: 0, length, last: false }).then(free, free)
        }
      },
      digest: () => this.#ask({ key, piece: null, start: 0, length: 0, last: true }),
    }
  }

  async #piece(): Promise<number> {
    for (;;) {
      const piece = this.#free.pop()
      if (piece !== undefined) return piece
      await new Promise<void>((resolve) => this.#wanting.push(resolve))
    }
  }

  async #ask(message: ToHash): Promise<string> {
    const waiting = Promise.withResolvers<string>()
    this.#waiting.push(waiting)
    this.#worker ??= this.#start()
    this.#worker.postMessage(message)
    return await waiting.promise
  }

  #start(): Worker {
    const setup: HashSetup = { object: this.object, pieces: this.#pieces }
    const worker = new Worker(new URL(import.meta.resolve("#hash-worker")), {
      workerData: setup,
      // Whatever this process was started with is not for it.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 },
    })
    worker.on("message", ({ sha256 }: FromHash) => this.#waiting.shift()?.resolve(sha256))
    const fail = (error: Error): void => {
      for (const each of this.#waiting.splice(0)) each.reject(error)
    }
    worker.on("error", fail)
    worker.on("exit", () => {
      fail(new Error("the thread that hashes ended"))
    })
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
  }
}
