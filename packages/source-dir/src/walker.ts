// The walker's thread: walks, and sends batches as long as it has credit. Between them it sleeps in `Atomics.wait`, so
// no more than a few batches exist at any time, however slow the reader is.

import { lstatSync } from "node:fs"
import { parentPort, workerData } from "node:worker_threads"
import { escapeControl, type Fault, fromByteString, globs } from "@backup-cloud/format"
import { encodeRows, type Row } from "./rows.ts"
import { errorCode, native, realRoot, walk } from "./walk.ts"
import type { WalkMessage, WalkOrder } from "./walk-messages.ts"

/** Rows of a batch. With fewer the messages cost more than the rows, with more the reader waits longer for the first. */
const BATCH = 500

const order = workerData as WalkOrder
const credits = new Int32Array(order.credits)

function say(message: WalkMessage): void {
  parentPort?.postMessage(message)
}

function send(rows: readonly Row[]): void {
  while (Atomics.load(credits, 0) === 0) Atomics.wait(credits, 0, 0)
  Atomics.sub(credits, 0, 1)
  say({ type: "rows", rows: encodeRows(rows) })
}

function fail(fault: Fault, what: string, hint: string, cause: unknown): void {
  const name = escapeControl(fromByteString(order.root))
  say({ type: "failed", fault, message: `${name}: ${what}`, hint, cause })
}

function walkAll(): void {
  const root = realRoot(order.root)
  const identity = (): string => {
    const { dev, ino } = lstatSync(native(root), { bigint: true })
    return `${dev}:${ino}`
  }
  const before = identity()
  say({ type: "root", root })
  let batch: Row[] = []
  for (const row of walk({ root, globs: globs(order.include, order.exclude), oneFileSystem: order.oneFileSystem })) {
    batch.push(row)
    if (batch.length < BATCH) continue
    send(batch)
    batch = []
  }
  // What vanished was left out; that must not be the whole tree because a disk was unplugged.
  if (identity() !== before) {
    fail("unavailable", "was replaced or unmounted while it was listed", "run the backup again", undefined)
    return
  }
  if (batch.length > 0) send(batch)
  say({ type: "end" })
}

try {
  walkAll()
} catch (error) {
  const code = errorCode(error)
  if (code === "ENOENT") fail("not-found", "there is no such directory", "check the path of the source", error)
  else if (code === "ENOTDIR") fail("not-found", "is not a directory", "give the directory that holds it", error)
  else fail("unavailable", `cannot be listed (${code})`, "back it up as a user who may read it", error)
}
