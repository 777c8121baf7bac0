// One object from plaintext to store: sealed into a spool, its digest taken, opened again and compared where that is asked
// for, and only then created. Nothing is kept when any step fails: creates are whole or not at all.

import { createHash } from "node:crypto"
import { BackupError, type ObjectRecord, step } from "@backup-cloud/format"
import type { Certificate, PassphraseOpener, SealedTo, Sealer } from "@backup-cloud/openpgp"
import { type ArchiveWriter, bodyPieces, spoolFault } from "@backup-cloud/store"
import { Handoff } from "./handoff.ts"
import type { Pool } from "./pool.ts"

export interface SealDeps {
  readonly sealer: Sealer
  readonly opener: PassphraseOpener
  readonly writer: ArchiveWriter
  readonly pool: Pool
  readonly signal: AbortSignal
}

export interface SealJob {
  /** Of the folder, with its last slash. */
  readonly folder: string
  /** Base name. */
  readonly name: string
  readonly certificates: readonly Certificate[]
  readonly passphrase: string | null
  /** Open it again and compare before it is kept; needs a passphrase. */
  readonly prove: boolean
}

/** An object that is being written. */
export interface Sealing {
  /** Resolves when the sealer has taken the bytes, whose memory may then be used again. */
  push(bytes: Uint8Array): Promise<void>
  /** No more comes; resolves once the object is stored. */
  close(): Promise<ObjectRecord>
  /** Resolves once nothing of it is under way any more, whether it was stored or not. */
  settled(): Promise<void>
}

export function openSealing(deps: SealDeps, job: SealJob): Sealing {
  const feed = new Handoff(deps.signal)
  const stored = sealAndStore(deps, job, feed)
  stored.catch(() => undefined) // It is seen by `push`, so that a long run ends soon, and by `close`.
  return {
    async push(bytes) {
      await Promise.race([feed.push(bytes), stored])
    },
    async close() {
      feed.end()
      return await stored
    },
    async settled() {
      await stored.catch(() => undefined)
    },
  }
}

/** Seals and stores an object that is there as a whole. */
export async function sealWhole(deps: SealDeps, job: SealJob, plain: Uint8Array): Promise<ObjectRecord> {
  const sealing = openSealing(deps, job)
  await sealing.push(plain)
  return await sealing.close()
}

async function sealAndStore(deps: SealDeps, job: SealJob, plain: AsyncIterable<Uint8Array>): Promise<ObjectRecord> {
  return await step("store object", { object: job.folder + job.name }, async (more) => {
    const record = await sealedAndStored(deps, job, plain)
    more({ bytes: record.length })
    return record
  })
}

async function sealedAndStored(deps: SealDeps, job: SealJob, plain: AsyncIterable<Uint8Array>): Promise<ObjectRecord> {
  const { sealer, writer, signal } = deps
  await using spool = await writer.spool(signal)
  const plainHash = job.prove ? createHash("sha256") : null
  const to = { certificates: job.certificates, passphrase: job.passphrase }
  const input = plainHash === null ? plain : tee(plain, plainHash)
  let sealedTo: SealedTo
  try {
    sealedTo = await sealer.sealInto(spool.file, input, to, signal)
  } catch (error) {
    signal.throwIfAborted()
    const full = !(error instanceof BackupError) || error.fault === "unavailable"
    throw (full ? await spoolFault(spool, job.folder + job.name) : null) ?? error
  }
  if (plainHash !== null) await proveOpens(deps, job, bodyPieces(spool), plainHash.digest("hex"))
  const { length, sha256 } = await deps.pool.digest(spool.file, sealedTo)
  signal.throwIfAborted()
  await writer.create(job.folder + job.name, spool, sha256, signal)
  return { name: job.name, length, sha256 }
}

async function* tee(plain: AsyncIterable<Uint8Array>, hash: { update(bytes: Uint8Array): unknown }) {
  for await (const piece of plain) {
    hash.update(piece)
    yield piece
  }
}

async function proveOpens(
  deps: SealDeps,
  job: SealJob,
  sealed: AsyncIterable<Uint8Array>,
  expected: string,
): Promise<void> {
  const opened = createHash("sha256")
  for await (const piece of deps.opener.open(sealed, job.passphrase ?? "", deps.signal)) opened.update(piece)
  if (opened.digest("hex") === expected) return
  throw new BackupError("tampered", `${job.folder}${job.name} does not open to what was sealed; it was not stored`, {
    hint: "memory or the OpenPGP program of this machine is at fault: test both before the next backup",
  })
}
