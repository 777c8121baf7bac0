// The holder's ledger: one JSON line for each decision, written before anything leaves. Each line carries the hash of the
// line before and of itself, so a line that was changed, inserted or removed from the middle is found when the ledger is
// opened. It does not show that its last lines were cut off, or that somebody wrote all of it anew: it guards against
// accident and against quiet edits, not against the holder. A copy elsewhere does the rest.
//
// The ledger is also the holder's memory: which requests were answered, the highest policy and erasure, the latest
// receipts seen. There is no second file that could say something else.

import { createHash } from "node:crypto"
import { mkdir, open, readFile, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { BackupError, FORMAT } from "@backup-cloud/format"

type Decision = "approve" | "deny" | "cosign"

/** The highest sums of a run that were seen, as evidence against a rollback. */
export interface SeenRun {
  readonly source: string
  readonly run: string
  readonly number: number
  /** Digest of `SHA256SUMS-<number>`. */
  readonly sums: string
}

/** What is written about a decision. Empty strings and 0 where a member does not apply. */
export interface LedgerRecord {
  /** UTC, to the second. */
  readonly time: string
  readonly decision: Decision
  readonly archive: string
  /** Id of the request. */
  readonly request: string
  readonly operator: string
  readonly source: string
  readonly run: string
  readonly kind: string
  /** The operator's reason; of a denial, the holder's. */
  readonly reason: string
  /** How many secrets went out. */
  readonly secrets: number
  readonly policy: { readonly number: number; readonly sha256: string }
  readonly erasures: number
  /** True where what was erased was asked for too; absent otherwise. */
  readonly without_erasures?: true
  readonly seen: readonly SeenRun[]
}

export interface LedgerEntry extends LedgerRecord {
  readonly number: number
  /** Hash of the line before, `""` in the first. */
  readonly previous: string
  readonly hash: string
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")
const lineForm = /^(\{.*),"hash":"([0-9a-f]{64})"\}$/

export interface Ledger {
  readonly path: string
  readonly entries: readonly LedgerEntry[]
  /**
   * Writes a line and returns once it is on the disk. Throws `conflict` if another process has written since the ledger
   * was opened, and then nothing was written.
   */
  append(record: LedgerRecord): Promise<LedgerEntry>
}

/** Opens the ledger at `path`, which need not exist, and checks all of it. Throws `tampered` if the chain is broken. */
export async function openLedger(path: string): Promise<Ledger> {
  const text = await readIfThere(path)
  const entries = readLines(text, path)
  let size = Buffer.byteLength(text)
  return {
    path,
    entries,
    async append(record) {
      const entry = seal(record, entries.at(-1))
      const line = `${JSON.stringify(entry)}\n`
      await underLock(path, async () => {
        if (Buffer.byteLength(await readIfThere(path)) !== size)
          throw new BackupError("conflict", `${path}: another process wrote to the ledger meanwhile`, {
            hint: "nothing was released; do it again",
          })
        await appendDurably(path, line, size)
      })
      size += Buffer.byteLength(line)
      entries.push(entry)
      return entry
    },
  }
}

function seal(record: LedgerRecord, before: LedgerEntry | undefined): LedgerEntry {
  const { time, decision, archive, request, operator, source, run, kind, reason, secrets, policy, erasures, seen } =
    record
  const body = {
    format: FORMAT,
    type: "ledger",
    number: (before?.number ?? 0) + 1,
    previous: before?.hash ?? "",
    ...{ time, decision, archive, request, operator, source, run, kind, reason, secrets, policy, erasures, seen },
    ...(record.without_erasures === true ? { without_erasures: true as const } : {}),
  }
  return { ...body, hash: sha256(JSON.stringify(body)) }
}

function readLines(text: string, path: string): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  const lines = text.split("\n")
  if (lines.pop() !== "")
    throw new BackupError("tampered", `${path}: the last line is not whole`, {
      hint: `if this machine stopped while the line was written, nothing was released by it: keep a copy, then remove it with  sed -i '$d' ${path}`,
    })
  for (const line of lines) {
    const [, body, hash] = lineForm.exec(line) ?? []
    const before = entries.at(-1)
    const entry = body !== undefined && sha256(`${body}}`) === hash ? (JSON.parse(line) as LedgerEntry) : null
    if (entry?.number !== entries.length + 1 || entry.previous !== (before?.hash ?? ""))
      throw new BackupError(
        "tampered",
        `${path}: line ${entries.length + 1} does not follow from the lines before it`,
        {
          hint: "the ledger was changed; compare it with a copy before anything is released",
        },
      )
    entries.push(entry)
  }
  return entries
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8")
  } catch (cause) {
    if (isCode(cause, "ENOENT")) return ""
    throw new BackupError("unavailable", `${path}: the ledger cannot be read`, { cause })
  }
}

async function underLock(path: string, work: () => Promise<void>): Promise<void> {
  const lock = `${path}.lock`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await (await open(lock, "wx", 0o600)).close()
  } catch (cause) {
    if (isCode(cause, "EEXIST"))
      throw new BackupError("conflict", `${path}: the ledger is being written by another process`, {
        cause,
        hint: `if no other key holder command is running, remove ${lock}`,
      })
    throw new BackupError("unavailable", `${path}: the ledger cannot be written`, { cause })
  }
  try {
    await work()
  } finally {
    await rm(lock, { force: true })
  }
}

/** @param size of the file before; what was written of a line that did not get whole is cut off again */
async function appendDurably(path: string, line: string, size: number): Promise<void> {
  try {
    const file = await open(path, "a", 0o600)
    try {
      await file.appendFile(line)
      await file.sync()
    } catch (error) {
      await file.truncate(size)
      throw error
    } finally {
      await file.close()
    }
    const folder = await open(dirname(path), "r")
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (cause) {
    throw new BackupError("unavailable", `${path}: the ledger cannot be written`, {
      cause,
      hint: "nothing was released",
    })
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code
}
