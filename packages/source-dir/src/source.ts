// A directory tree as a source. It lists and never opens what it lists: the content of a file is named, for others to
// read. Listing runs in a thread of its own (walker.ts); extended attributes and access lists, where asked for, come
// from `getfattr` and `getfacl`, a batch at a time (extras.ts).
//
// Not promised: a consistent picture of a tree that changes meanwhile. Take a snapshot of the file system for that.

import { isAbsolute } from "node:path"
import { Worker } from "node:worker_threads"
import { BackupError, globs, type Source, type SourceEntry, toByteString } from "@backup-cloud/format"
import { withExtras } from "./extras.ts"
import { decodeRows } from "./rows.ts"
import type { WalkMessage, WalkOrder } from "./walk-messages.ts"

export interface DirSourceOptions {
  /** Absolute path of a directory. If it is a symbolic link, what it leads to is backed up. */
  readonly root: string
  /** Only what these match and what is below it, with the directories that lead there. None: everything. */
  readonly include?: readonly string[]
  /** Not what these match; a directory they match is not entered. Stronger than `include`. */
  readonly exclude?: readonly string[]
  /** Record directories on other devices than the root's, but do not enter them. */
  readonly oneFileSystem?: boolean
  readonly xattrs?: boolean
  readonly acls?: boolean
}

/** Batches that the walker may be ahead. */
const AHEAD = 4
/** What the walker makes is garbage at once. Less room for it saves 25 MB against the default at the same speed. */
const YOUNG_MB = 8

/**
 * The source of the tree below `root`. The patterns' form is in globs.ts of the package format. Throws `usage` for a relative root or a
 * pattern that cannot be meant.
 *
 * `entries` throws `not-found` if the root is no directory, `unavailable` if it cannot be listed, was replaced meanwhile,
 * or a program is missing. An entry has attribute `error` with the system's word if it could not be looked at or listed,
 * and `lacks` (`acl`, `xattr` or `acl,xattr`) if only those could not be read.
 */
export function dirSource(options: DirSourceOptions): Source {
  const { root, include = [], exclude = [] } = options
  if (!isAbsolute(root) || root.includes("\0"))
    throw new BackupError("usage", `${JSON.stringify(root)} is not an absolute path`, { hint: "begin it with /" })
  globs(include, exclude)
  return { kind: "dir", identity: ["ctime", "ino"], entries: (signal) => entries(options, signal) }
}

async function* entries(
  options: DirSourceOptions,
  signal: AbortSignal,
): AsyncGenerator<SourceEntry[], void, undefined> {
  signal.throwIfAborted()
  const order: WalkOrder = {
    root: toByteString(options.root),
    include: options.include ?? [],
    exclude: options.exclude ?? [],
    oneFileSystem: options.oneFileSystem ?? false,
    credits: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
  }
  const credits = new Int32Array(order.credits)
  credits[0] = AHEAD
  const kinds = { xattrs: options.xattrs ?? false, acls: options.acls ?? false }
  const worker = new Worker(new URL(import.meta.resolve("#walker")), {
    workerData: order,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  })
  try {
    const next = inbox(worker, signal)
    let root = ""
    for (let message = await next(); message.type !== "end"; message = await next()) {
      if (message.type === "failed")
        throw new BackupError(message.fault, message.message, { cause: message.cause, hint: message.hint })
      if (message.type === "root") {
        root = message.root
        continue
      }
      const batch = decodeRows(message.rows, root)
      yield kinds.xattrs || kinds.acls ? await withExtras(batch, root, kinds, signal) : batch
      Atomics.add(credits, 0, 1)
      Atomics.notify(credits, 0)
    }
  } finally {
    await worker.terminate()
  }
}

/** The worker's messages, one a call; rejects when the worker fails or `signal` fires. */
function inbox(worker: Worker, signal: AbortSignal): () => Promise<WalkMessage> {
  const waiting: WalkMessage[] = []
  let failure: { readonly reason: unknown } | null = null
  let wake: () => void = () => undefined
  const fail = (reason: unknown): void => {
    failure ??= { reason }
    wake()
  }
  worker.on("message", (message: WalkMessage) => {
    waiting.push(message)
    wake()
  })
  worker.on("error", fail)
  worker.on("exit", () => {
    signal.removeEventListener("abort", aborted)
    fail(new Error("the walker's thread ended early"))
  })
  const aborted = (): void => {
    fail(signal.reason)
  }
  signal.addEventListener("abort", aborted)
  return async () => {
    for (;;) {
      signal.throwIfAborted()
      const message = waiting.shift()
      if (message !== undefined) return message
      if (failure !== null) throw failure.reason
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}
