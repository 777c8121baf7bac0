// The thread that hashes what lies in shared memory, and answers in order.

import { createHash, type Hash } from "node:crypto"
import { parentPort, workerData } from "node:worker_threads"

export interface HashSetup {
  readonly object: SharedArrayBuffer
  readonly pieces: readonly SharedArrayBuffer[]
}

export interface ToHash {
  /** Of one digest: its parts in order. */
  readonly key: number
  /** Which of the pieces; `null` for the object. */
  readonly piece: number | null
  readonly start: number
  /** Bytes. */
  readonly length: number
  readonly last: boolean
}

export interface FromHash {
  /** Hex, after the last part; `""` before. */
  readonly sha256: string
}

const setup = workerData as HashSetup
const object = Buffer.from(setup.object)
const pieces = setup.pieces.map((memory) => Buffer.from(memory))
const open = new Map<number, Hash>()

parentPort?.on("message", ({ key, piece, start, length, last }: ToHash) => {
  const memory = piece === null ? object : (pieces[piece] as Buffer)
  const hash = (open.get(key) ?? createHash("sha256")).update(memory.subarray(start, start + length))
  if (last) open.delete(key)
  else open.set(key, hash)
  const reply: FromHash = { sha256: last ? hash.digest("hex") : "" }
  parentPort?.postMessage(reply)
})
