// The worker thread: scans files, packs chunks and looks over sealed objects as it is told. Between pieces it listens, so that packing goes on while
// a scan waits for a slot.

import { createHash, createSecretKey } from "node:crypto"
import { readSync } from "node:fs"
import { parentPort, workerData } from "node:worker_threads"
import { checkSealed, type SealedTo } from "@backup-cloud/openpgp"
import { StreamCutter } from "./cut-stream.ts"
import { LongHashes } from "./long-hashes.ts"
import { type FileToRead, type FromWorker, sentError, type ToWorker, type WorkerSetup } from "./messages.ts"
import { pack } from "./pack.ts"
import { scan } from "./scan.ts"

if (parentPort === null) throw new TypeError("this module runs in a worker thread")
const port = parentPort
const setup = workerData as WorkerSetup
const naming = { chunkKey: createSecretKey(setup.chunkKey), table: Int32Array.from(setup.cutTable) }
const slots = setup.slots.map((memory) => Buffer.from(memory))
/** Slots that a scan may fill, and how to wake it when one comes. */
const granted = new Map<number, { readonly slots: number[]; wake: () => void }>()
const hashes = new LongHashes()
const cutters = new Map<number, StreamCutter>()
let turn = Promise.resolve()

function say(message: FromWorker): void {
  port.postMessage(message)
}

/** Lets messages in: a piece takes milliseconds, and packing must not wait for the whole file. */
async function pause(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}

async function runScan(job: number, files: readonly FileToRead[]): Promise<void> {
  try {
    const pieces = scan(files, naming, () => {
      const number = granted.get(job)?.slots.shift()
      if (number === undefined) throw new TypeError("a scan needs a slot")
      return { number, bytes: slots[number] as Buffer }
    })
    for (;;) {
      const grant = granted.get(job)
      if (grant === undefined) return
      if (grant.slots.length === 0) {
        await new Promise<void>((resolve) => {
          grant.wake = resolve
        })
        continue
      }
      const { value: piece } = pieces.next()
      if (piece === undefined) return
      say({ type: "piece", job, piece })
      await pause()
    }
  } catch (error) {
    say({ type: "failed", job, error: sentError(error) })
  } finally {
    granted.delete(job)
  }
}

function answer(job: number, work: () => void): void {
  try {
    work()
  } catch (error) {
    say({ type: "failed", job, error: sentError(error) })
  }
}

/** Bytes of a file that are read at once. */
const READ = 1 << 20

async function* contentOf(fd: number): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafeSlow(READ)
  for (let at = 0; ; ) {
    const count = readSync(fd, buffer, 0, READ, at)
    if (count === 0) return
    at += count
    yield buffer.subarray(0, count)
    await pause()
  }
}

async function digest(job: number, fd: number, to: SealedTo): Promise<void> {
  try {
    const hash = createHash("sha256")
    let length = 0
    for await (const piece of checkSealed(contentOf(fd), to)) {
      hash.update(piece)
      length += piece.length
    }
    say({ type: "digested", job, digest: { length, sha256: hash.digest("hex") } })
  } catch (error) {
    say({ type: "failed", job, error: sentError(error) })
  }
}

port.on("message", (message: ToWorker) => {
  const grant = granted.get(message.job)
  switch (message.type) {
    case "scan":
      granted.set(message.job, { slots: [], wake: () => undefined })
      turn = turn.then(() => runScan(message.job, message.files))
      return
    case "slot":
      grant?.slots.push(message.slot)
      grant?.wake()
      return
    case "cancel":
      granted.delete(message.job)
      cutters.delete(message.job)
      grant?.wake()
      return
    case "cut":
      answer(message.job, () => {
        const cutter = cutters.get(message.job) ?? new StreamCutter(naming)
        cutters.set(message.job, cutter)
        const slot = { number: message.slot, bytes: slots[message.slot] as Buffer }
        say({ type: "piece", job: message.job, piece: cutter.cut(slot, message.parts, message.last) })
      })
      return
    case "digest":
      void digest(message.job, message.fd, message.to)
      return
    case "pack":
      answer(message.job, () => {
        const { job, chunks, from, unhashed } = message
        const slot = slots[chunks.slot] as Buffer
        const digests = hashes.take(from, slot, unhashed)
        say({ type: "packed", job, frames: pack(slot, chunks), digests })
      })
      return
  }
})
