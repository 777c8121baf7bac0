// The worker thread: scans files and packs chunks as it is told. Between pieces it listens, so that packing goes on while
// a scan waits for its pieces to be taken.

import { parentPort, workerData } from "node:worker_threads"
import type { FileToRead, FromWorker, ToWorker, WorkerSetup } from "./messages.ts"
import { pack } from "./pack.ts"
import { Buffers, scan } from "./scan.ts"

/** Pieces of a job that may be on their way at once. */
const AHEAD = 2

if (parentPort === null) throw new TypeError("this module runs in a worker thread")
const port = parentPort
const setup = workerData as WorkerSetup
const naming = { chunkKey: setup.chunkKey, table: Int32Array.from(setup.cutTable) }
const buffers = new Buffers()
const waiting = new Map<number, () => void>()
const credit = new Map<number, number>()
let turn = Promise.resolve()

function say(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

async function runScan(job: number, files: readonly FileToRead[]): Promise<void> {
  try {
    for (const piece of scan(files, naming, buffers)) {
      while ((credit.get(job) ?? -1) === 0) await new Promise<void>((resolve) => waiting.set(job, resolve))
      const left = credit.get(job)
      if (left === undefined) return
      credit.set(job, left - 1)
      say({ type: "piece", job, piece }, [piece.buffer])
      // Lets messages in: a piece takes milliseconds, and packing must not wait for the whole file.
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  } catch (error) {
    say({ type: "failed", job, error })
  } finally {
    credit.delete(job)
  }
}

port.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "scan":
      credit.set(message.job, AHEAD)
      turn = turn.then(() => runScan(message.job, message.files))
      return
    case "more":
      if (credit.has(message.job)) credit.set(message.job, (credit.get(message.job) ?? 0) + 1)
      waiting.get(message.job)?.()
      waiting.delete(message.job)
      return
    case "cancel":
      credit.delete(message.job)
      waiting.get(message.job)?.()
      waiting.delete(message.job)
      return
    case "pack":
      try {
        const frames = pack(message)
        buffers.give(message.buffer)
        say(
          { type: "packed", job: message.job, frames },
          frames.map((frame) => frame.bytes.buffer),
        )
      } catch (error) {
        say({ type: "failed", job: message.job, error })
      }
      return
  }
})
