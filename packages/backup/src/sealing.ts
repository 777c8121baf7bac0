// One object from plaintext to store: sealed in a stream, its digest taken on the way, opened again and compared where that
// is asked for, and only then created. Nothing is kept when any step fails: creates are whole or not at all.

import { createHash } from "node:crypto"
import { once } from "node:events"
import { PassThrough } from "node:stream"
import { BackupError, type ObjectRecord } from "@backup-cloud/format"
import type { Certificate, PassphraseOpener, Sealer } from "@backup-cloud/openpgp"
import type { ArchiveWriter } from "@backup-cloud/store"
import type { Slabs } from "./slabs.ts"

export interface SealDeps {
  readonly sealer: Sealer
  readonly opener: PassphraseOpener
  readonly writer: ArchiveWriter
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
  readonly slabs: Slabs
}

/** An object that is being written. `push` waits while the sealer is behind. */
export interface Sealing {
  push(bytes: Uint8Array): Promise<void>
  /** No more comes; resolves once the object is stored. */
  close(): Promise<ObjectRecord>
}

export function openSealing(deps: SealDeps, job: SealJob): Sealing {
  const feed = new PassThrough({ highWaterMark: 2_097_152 })
  const stored = sealAndStore(deps, job, feed)
  stored.catch((error: unknown) => feed.destroy(error instanceof Error ? error : undefined))
  return {
    async push(bytes) {
      // A failure shows here as well as in `close`, so that a long run ends soon.
      if (feed.destroyed) await stored
      else if (!feed.write(bytes)) await Promise.race([once(feed, "drain"), stored])
    },
    async close() {
      feed.end()
      return await stored
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
  const slab = await job.slabs.take()
  try {
    const plainHash = job.prove ? createHash("sha256") : null
    const hash = createHash("sha256")
    let length = 0
    const to = { certificates: job.certificates, passphrase: job.passphrase }
    for await (const piece of deps.sealer.seal(plainHash === null ? plain : tee(plain, plainHash), to, deps.signal)) {
      if (length + piece.length > slab.length) throw new RangeError(`${job.name} is larger than its buffer`)
      slab.set(piece, length)
      length += piece.length
      hash.update(piece)
    }
    const body = slab.subarray(0, length)
    if (plainHash !== null) await proveOpens(deps, job, body, plainHash.digest("hex"))
    const sha256 = hash.digest("hex")
    await deps.writer.create(job.folder + job.name, [body], sha256, deps.signal)
    return { name: job.name, length, sha256 }
  } finally {
    job.slabs.give(slab)
  }
}

async function* tee(plain: AsyncIterable<Uint8Array>, hash: { update(bytes: Uint8Array): unknown }) {
  for await (const piece of plain) {
    hash.update(piece)
    yield piece
  }
}

async function proveOpens(deps: SealDeps, job: SealJob, sealed: Uint8Array, expected: string): Promise<void> {
  const opened = createHash("sha256")
  const message = (async function* () {
    yield sealed
  })()
  for await (const piece of deps.opener.open(message, job.passphrase ?? "", deps.signal)) opened.update(piece)
  if (opened.digest("hex") === expected) return
  throw new BackupError("tampered", `${job.folder}${job.name} does not open to what was sealed; it was not stored`, {
    hint: "memory or the OpenPGP program of this machine is at fault: test both before the next backup",
  })
}
