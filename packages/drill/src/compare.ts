// Compares what lies in a folder with the catalogue it was restored from. It shares nothing with the code that restored: it
// asks the file system what is there, reads every file again, and walks both in the same order.
//
// Not compared: what a restore sets only when asked (set-id bits, devices, owners unless told), extended attributes and
// access lists, whose own failures the restore reports, times of access and change.

import { readlink } from "node:fs/promises"
import { BackupError, type CatalogueEntry, pathKey } from "@backup-cloud/format"
import { digestOf, lookAt, native, type Stats, walk, within } from "./tree.ts"

export interface Difference {
  /** Byte string. */
  readonly path: string
  /** What is not as it should be, for people. */
  readonly what: string
}

export interface Comparison {
  /** The folder, absolute; byte string. */
  readonly root: string
  readonly entries: AsyncIterable<CatalogueEntry>
  /** Whether owners and groups were restored. */
  readonly owner: boolean
  /** Whether `entries` is all there should be; if not, only they are looked at. */
  readonly whole: boolean
  /** Byte strings: what the restore wrote beside it, at the top, and no catalogue names. */
  readonly beside?: ReadonlySet<string>
  readonly onDifference: (difference: Difference) => void
  readonly signal: AbortSignal
}

export type Comparer = (comparison: Comparison) => Promise<void>

/** Tells every difference. Throws what `entries` throws, and `unavailable` if the folder cannot be read. */
export const compareTree: Comparer = async (comparison) => {
  const { root, entries, whole, beside, onDifference } = comparison
  const there = whole ? walk(root)[Symbol.asyncIterator]() : null
  const next = async (): Promise<string | null> => {
    const step = await (there === null ? undefined : there.next().catch(unreadable))
    return step === undefined || step.done === true ? null : step.value
  }
  let found = await next()
  const extra = async (until: string | null): Promise<void> => {
    for (; found !== null && (until === null || pathKey(found) < until); found = await next())
      if (beside?.has(found) !== true) onDifference({ path: found, what: "is there, and not in the catalogue" })
  }
  try {
    for await (const entry of entries) {
      await extra(pathKey(entry.path))
      const here: boolean = whole ? found === entry.path : (await statsOf(within(root, entry.path))) !== null
      if (here) for (const what of await differences(comparison, entry)) onDifference({ path: entry.path, what })
      else if (!mayLack(entry)) onDifference({ path: entry.path, what: "is missing" })
      if (found === entry.path) found = await next()
    }
    await extra(null)
  } finally {
    await there?.return(undefined)
  }
}

function unreadable(cause: unknown): never {
  if (cause instanceof BackupError) throw cause
  throw new BackupError("unavailable", "what was restored cannot be read again", {
    cause,
    hint: "suspect the disk or memory of this machine; drill on another one",
  })
}

/** What a restore leaves out on purpose, or what was not whole when it was backed up. */
function mayLack({ type, sha256, attributes }: CatalogueEntry): boolean {
  return ["s", "b", "c", "u"].includes(type) || (type === "f" && sha256 === null) || attributes.has("error")
}

async function statsOf(file: string): Promise<Stats | null> {
  try {
    return await lookAt(file)
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null
    return unreadable(error)
  }
}

/** Set-id bits come back only when asked for. */
const MODE = 0o1777

async function differences({ root, owner, signal }: Comparison, entry: CatalogueEntry): Promise<string[]> {
  const file = within(root, entry.path)
  const stats = await statsOf(file)
  if (stats === null) return ["has vanished while it was compared"]
  if (entry.type === "h") {
    const first = await statsOf(within(root, entry.link ?? ""))
    return first?.device === stats.device ? [] : ["is not another name of the file that it was"]
  }
  if (stats.type !== entry.type) return ["is of another type"]
  const found: string[] = []
  if (stats.mtime !== entry.mtime) found.push("has another time")
  if (owner && (stats.uid !== entry.uid || stats.gid !== entry.gid)) found.push("has another owner")
  if (entry.type === "l") {
    const link = await readlink(native(file), { encoding: "buffer" }).catch(unreadable)
    return link.toString("latin1") === entry.link ? found : [...found, "points elsewhere"]
  }
  if ((stats.mode & MODE) !== (entry.mode & MODE)) found.push("has other rights")
  if (entry.type !== "f" || entry.sha256 === null) return found
  if (stats.size !== entry.size) found.push("has another size")
  else if ((await digestOf(file, signal).catch(rethrown(signal))) !== entry.sha256) found.push("has other content")
  return found
}

const rethrown =
  (signal: AbortSignal) =>
  (cause: unknown): never => {
    signal.throwIfAborted()
    return unreadable(cause)
  }
