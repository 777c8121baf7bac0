// One backup of one source with the keys that lie in the home, or in the identity in its place: what the policy says of it,
// its lock, its signing key, the run itself, and what this machine remembers of it.

import { access, constants } from "node:fs/promises"
import { type BackupEvent, type BackupResult, backup as run, startWorkers } from "@backup-cloud/backup"
import { BackupError, escapeControl, isFault, type PolicySource, type Source } from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import { checkExpiries, rememberRuns, type Trust, verifiersOf } from "@backup-cloud/trust"
import type { Signing } from "./doors.ts"
import { forgetNoted, notedFiles } from "./handed.ts"
import type { Machine } from "./machine.ts"
import { lockSource, readNextKey, readSecrets, type SourceSecrets, takeNextKey, writeExtent } from "./secrets.ts"

/** Threads, unless told. */
const WORKERS = 2
const CHECKPOINT_MINUTES = 30

export type SourceEvent =
  | BackupEvent
  /** The run is committed, and yet this machine would not notice if it vanished. `why` is for people. */
  | { readonly event: "not-remembered"; readonly why: string }

export interface BackupJob {
  /** As the policy has it. */
  readonly name: string
  /** Called once nobody else backs the source up. */
  readonly source: () => Promise<Source>
  /** Minutes between checkpoints; 30 unless given. */
  readonly checkpointMinutes?: number | undefined
  /** Open every volume again before it is stored, not only the first. */
  readonly proveAll?: boolean | undefined
  /** Threads that read, hash and compress; 2 unless given. */
  readonly workers?: number
  /** Bytes at which a volume is closed, where each must be opened in little memory; as full as they get unless given. */
  readonly volumeBytes?: number
  readonly onEvent: (event: SourceEvent) => void
  /** Told to stop: what is done so far is committed as a checkpoint. */
  readonly stop: AbortSignal
}

/**
 * Throws `not-found` if the policy or this machine does not know the source, `refused` if the policy takes no runs of it or
 * not with the key that is here, `conflict` while another backup of it runs here, and as the backup itself does.
 * @param trust loaded strictly
 */
export async function backupSource(machine: Machine, trust: Trust, job: BackupJob): Promise<BackupResult> {
  const { name } = job
  const { policy } = trust
  const { now, random, signal } = machine.surroundings
  const entry = acceptedSource(trust, name)
  const secrets = await secretsOf(machine, name)
  await using held = new AsyncDisposableStack()
  // Another machine with the same identity would not see it; two runs at once are joined by the next.
  if (machine.identity === null) held.use(await lockSource(machine, name, now()))
  // First of all: they load their programs while the archive is looked at.
  const pool = held.use(startWorkers(job.workers ?? WORKERS, secrets.secret))
  const store = await machine.store()
  const present = policy.holders.filter((holder) => holder.status === "present")
  const holders = [...present, ...verifiersOf(policy, name)].map(
    (recipient) => trust.certificates.get(recipient.sha256) ?? missing(recipient.name),
  )
  const doors = await machine.doors()
  const signing = held.use(await doors.signing(machine.identity === null ? undefined : await memoryFolder()))
  const wanted = entry.keys.at(-1)?.fingerprint ?? ""
  // Side by side: each starts several processes of gpg.
  const [signer, ...first] = await together(
    signerOf(machine, signing, name, secrets.signingKey, wanted),
    machine.runs(trust, name),
  )
  const handed = await notedFiles(machine)
  const result = await run({
    handed,
    ...{ source: await job.source(), entry, policy, holders, signer, now, random, signal },
    earlier: async () => first.pop() ?? (await machine.runs(trust, name)),
    secret: secrets.secret,
    reader: store,
    writer: store,
    sealer: doors.sealer,
    opener: doors.opener,
    proveAll: job.proveAll ?? false,
    pool,
    ...(job.volumeBytes === undefined ? {} : { limits: { volumeBytes: job.volumeBytes } }),
    checkpointEvery: (job.checkpointMinutes ?? CHECKPOINT_MINUTES) * 60_000,
    onEvent: job.onEvent,
    stop: job.stop,
  })
  await forgetNoted(machine, handed)
  await remember(machine, trust, job)
  if (result.outcome !== "checkpoint") await writeExtent(machine, name, result)
  return result
}

/** Where files lie in memory, if this system has such a place; otherwise where temporary files do. */
async function memoryFolder(): Promise<string | undefined> {
  const folder = "/dev/shm"
  return await access(folder, constants.W_OK).then(
    () => folder,
    () => undefined,
  )
}

/** Both, or the first error once both have ended: neither goes on with a home that is gone. */
async function together<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other])
  return await Promise.all([one, other])
}

function acceptedSource({ policy }: Trust, name: string): PolicySource {
  const entry = policy.sources.find((source) => source.name === name)
  if (entry === undefined)
    throw new BackupError("not-found", `the policy has no source ${escapeControl(name)}; nothing was backed up`)
  if (entry.keys.at(-1)?.accept_until !== "")
    throw new BackupError("refused", `the policy accepts no more runs of ${name}; nothing was backed up`, {
      hint: "its last key has ended; the administrator gives it another with source rekey",
    })
  return entry
}

async function secretsOf(machine: Machine, name: string): Promise<SourceSecrets> {
  if (machine.identity !== null) {
    const source = await machine.identity.source()
    if (source.name === name) return await machine.identity.secrets()
    throw new BackupError("refused", `the identity is that of ${source.name}, not of ${name}; nothing was backed up`, {
      hint: "BACKUP_CLOUD_IDENTITY names the identity of the source that is backed up",
    })
  }
  const secrets = await readSecrets(machine, name)
  if (secrets !== null) return secrets
  throw new BackupError("not-found", `the keys of ${name} are not on this machine; nothing was backed up`, {
    hint: `make them where its data is: backup-cloud source keygen ${name}`,
  })
}

/** The present signing key, or the next one if the policy has that by now. */
async function signerOf(
  machine: Machine,
  signing: Signing,
  name: string,
  key: Uint8Array,
  wanted: string,
): Promise<Signer> {
  const signer = await signing.signer(key)
  if (signer.fingerprint === wanted) return signer
  const { identity } = machine
  const next = identity === null ? await readNextKey(machine, name) : await identity.nextKey()
  const nextSigner = next === null ? null : await signing.signer(next)
  if (nextSigner?.fingerprint === wanted) {
    // A backup may write nothing of an identity but what it saw.
    if (identity === null) await takeNextKey(machine, name)
    return nextSigner
  }
  throw new BackupError(
    "refused",
    `the key of ${name} on this machine is not the one the policy has; nothing was backed up`,
    {
      hint: `make one with backup-cloud source keygen ${name} --again --out FILE; the administrator enrols it with backup-cloud source rekey ${name} --certificate FILE`,
    },
  )
}

function missing(name: string): never {
  throw new BackupError(
    "refused",
    `the certificate of ${name} is not in the archive as the policy has it; nothing was backed up`,
  )
}

/** This machine remembers its own run, so that it notices when it vanishes. */
async function remember(machine: Machine, trust: Trust, { name, onEvent }: BackupJob): Promise<void> {
  try {
    await rememberRuns(machine.memory, [await machine.runs(trust, name)])
    checkExpiries(await machine.expiries(trust))
  } catch (error) {
    if (!isFault(error, "unavailable")) throw error
    onEvent({ event: "not-remembered", why: error.message })
  }
}
