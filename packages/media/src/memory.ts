// What a disk remembers of its archive, in the file `medium-state` at its top: lines of which the last about a thing
// counts. Each run is noted, and synced, when it is whole on the disk; at the end of a sync the file is replaced by a short
// one. A line that a crash cut off is the last one, and is left out.
//
//   backup-cloud/1 medium-state <archive> <medium>
//   policy <number> <digest>
//   run <source> <run> <number> <holding> <volumes> <catalogues> <digest of its sums> <sealed objects> <their bytes>
//
// Nobody signs it: it is what this disk saw, kept where no network reaches.

import { open, readFile, rename } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, FORMAT, type HeldRun, heldLine, parseHeldLine, patterns } from "@backup-cloud/format"
import { diskFault } from "./disk-faults.ts"
import type { Disk } from "./identity.ts"

export const STATE = "medium-state"

/** A run that the disk saw. */
export interface KnownRun extends HeldRun {
  /** Digest of the `SHA256SUMS` with that number. */
  readonly sums: string
  /** Sealed objects of all its receipts, and their bytes. */
  readonly objects: number
  readonly bytes: number
}

export interface DiskMemory {
  /** The highest policy, and the digest of its file; `null` before the first sync. */
  policy: { readonly number: number; readonly sha256: string } | null
  /** By source and run, `docs 20261123T…`. */
  readonly runs: Map<string, KnownRun>
}

export const runKey = ({ source, run }: { readonly source: string; readonly run: string }): string => `${source} ${run}`

/** Throws `tampered` for what this program did not write: a disk that remembers nothing could not give an alarm. */
export async function readMemory({ path, identity }: Disk): Promise<DiskMemory> {
  const memory: DiskMemory = { policy: null, runs: new Map() }
  const file = join(path, STATE)
  let text: string
  try {
    text = await readFile(file, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return memory
    throw diskFault(file, error)
  }
  const lines = text.split("\n")
  // What comes after the last line end was cut off by a crash, before its run counted.
  lines.pop()
  const wrong = (at: number): BackupError =>
    new BackupError("tampered", `${file}: line ${at} is not what this program wrote; nothing was done`, {
      hint: "`backup-cloud media scrub` tells what is whole on the disk; prepare another disk if in doubt",
    })
  if (lines.length > 0 && lines[0] !== header(identity)) throw wrong(1)
  for (const [index, line] of lines.entries()) {
    if (index === 0) continue
    const words = line.split(" ")
    if (words[0] === "policy" && words.length === 3 && patterns.digest.test(words[2] ?? ""))
      memory.policy = { number: count(words[1]) ?? raise(wrong(index + 1)), sha256: words[2] ?? "" }
    else {
      const run = parseRun(words)
      if (run === null) throw wrong(index + 1)
      memory.runs.set(runKey(run), run)
    }
  }
  return memory
}

/** Adds lines to a file that `writeMemory` wrote, durably once it returns. */
export async function note({ path, identity }: Disk, runs: readonly KnownRun[]): Promise<void> {
  const file = join(path, STATE)
  try {
    await using handle = await open(file, "a+", 0o644)
    const { size } = await handle.stat()
    await handle.appendFile(
      (size === 0 ? `${header(identity)}\n` : "") + runs.map((run) => `${runLine(run)}\n`).join(""),
    )
    await handle.sync()
  } catch (error) {
    throw diskFault(file, error)
  }
}

/** Replaces the file, whole and durably. */
export async function writeMemory({ path, identity }: Disk, { policy, runs }: DiskMemory): Promise<void> {
  const file = join(path, STATE)
  const lines = [header(identity)]
  if (policy !== null) lines.push(`policy ${policy.number} ${policy.sha256}`)
  for (const run of runs.values()) lines.push(runLine(run))
  try {
    {
      await using handle = await open(`${file}.new`, "w", 0o644)
      await handle.writeFile(`${lines.join("\n")}\n`)
      await handle.sync()
    }
    await rename(`${file}.new`, file)
    await using folder = await open(path, "r")
    await folder.sync()
  } catch (error) {
    throw diskFault(file, error)
  }
}

const header = ({ archive, medium }: Disk["identity"]): string => `${FORMAT} medium-state ${archive} ${medium}`

function runLine(run: KnownRun): string {
  return `run ${heldLine(run)} ${run.sums} ${run.objects} ${run.bytes}`
}

function parseRun(words: readonly string[]): KnownRun | null {
  const [kind, ...rest] = words
  const held = parseHeldLine(rest.slice(0, 6).join(" "))
  const [sums = "", objects, bytes] = rest.slice(6)
  const counts = [count(objects), count(bytes)] as const
  if (kind !== "run" || rest.length !== 9 || held === null || !patterns.digest.test(sums)) return null
  if (counts[0] === null || counts[1] === null) return null
  return { ...held, sums, objects: counts[0], bytes: counts[1] }
}

function count(word: string | undefined): number | null {
  return /^(?:0|[1-9][0-9]{0,15})$/.test(word ?? "") ? Number(word) : null
}

function raise(error: Error): never {
  throw error
}
