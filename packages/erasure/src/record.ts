// Records what must not come back. Order of writing: a copy in the administrator's home, the sealed object, its signature; the signature
// is the commit point. What was interrupted is finished by recording the same again.

import { createHash } from "node:crypto"
import { BackupError, type Erasure, erasureCodec, FORMAT, isFault, names, timeText } from "@backup-cloud/format"
import { type Certificate, checkPkesks, leadingPkesks, type Sealer, type Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import {
  certificatePath,
  knownErasures,
  readErasures,
  rememberErasures,
  type SealedErasure,
  type Trust,
  type TrustMemory,
} from "@backup-cloud/trust"
import type { KeptErasures } from "./kept.ts"

/** What the administrator says; the rest of a record follows from the archive. */
export type ErasureDraft = Pick<
  Erasure,
  "source" | "paths" | "files" | "sql" | "database" | "reason" | "ticket" | "replaces"
> & {
  /** As in the record; `null` for the time at which it is made. */
  readonly until: string | null
}

export interface Recording {
  readonly store: ArchiveReader & ArchiveWriter
  readonly trust: Trust
  readonly home: TrustMemory
  readonly kept: KeptErasures
  readonly sealer: Sealer
  /** The administrator's. */
  readonly signer: Signer
  readonly now: Date
  readonly signal: AbortSignal
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/**
 * Records `draft`, and gives its number. The same one again finishes what was interrupted. Throws `usage` for a source that no
 * policy names and for what no record can say; `conflict` if another one was begun, or recorded meanwhile; `refused` if nobody
 * can be sealed to; as `knownErasures`. What threw is not recorded, unless `unavailable` says that nobody knows.
 */
export async function addErasure(recording: Recording, draft: ErasureDraft): Promise<number> {
  const { trust, store, home, signal } = recording
  const known = [...trust.policies.values()].some(({ sources }) => sources.some(({ name }) => name === draft.source))
  if (!known)
    throw new BackupError("usage", `no policy ever named a source ${draft.source}; nothing was recorded`, {
      hint: "backup-cloud policy show lists the sources",
    })
  const found = await readErasures(trust, store, signal)
  const number = found.records.length + 1
  if (found.unfinished !== null) {
    await rememberErasures(home, found)
    await finish(recording, number, found.unfinished, draft)
  } else {
    const records = await knownErasures(trust, store, home, signal)
    const plain = documentOf(recording, records, draft)
    const sealed = await seal(recording, plain)
    // Before anything is stored: an unsigned record keeps everything from being restored.
    const signature = await recording.signer.detached(sealed, signal)
    await recording.kept.write(number, { plain, sealed })
    await store.create(names.erasure(number), [sealed], sha256(sealed), signal)
    await commit(recording, number, signature)
  }
  await rememberErasures(home, await readErasures(trust, store, signal))
  return number
}

/**
 * Says every record that counts again, sealed to those who are present now: the new number of each old one. Throws
 * `not-found` if this home lacks the text of one, and then says none again; otherwise as `addErasure`. Done again after
 * an interruption, it says again only what was not.
 */
export async function renewErasures(recording: Recording): Promise<ReadonlyMap<number, number>> {
  const { trust, store, home, signal, kept } = recording
  const found = await readErasures(trust, store, signal)
  const records = found.unfinished === null ? await knownErasures(trust, store, home, signal) : found.records
  const texts = await Promise.all(records.map((record) => textOf(kept, record, records)))
  const replaced = new Set(texts.flatMap(({ replaces }) => replaces))
  const renewed = new Map<number, number>()
  for (const text of texts) {
    if (replaced.has(text.number) || sealedToPresent(recording, records[text.number - 1])) continue
    const replaces = [...text.replaces, text.number]
    renewed.set(text.number, await addErasure(recording, { ...text, replaces }))
  }
  return renewed
}

function documentOf(
  { trust, now }: Recording,
  records: readonly SealedErasure[],
  { source, until, paths, files, sql, database, reason, ticket, replaces }: ErasureDraft,
): Uint8Array {
  const created = timeText(now)
  return erasureCodec.encode({
    format: FORMAT,
    type: "erasure",
    archive: trust.archive.archive,
    number: records.length + 1,
    created,
    previous: records.at(-1)?.sha256 ?? "",
    source,
    until: until ?? created,
    paths: [...paths].sort(),
    files: [...files].sort(),
    ...{ sql, database, reason, ticket, replaces },
  })
}

/** Signs the record that lies there unsigned, if it is the one that is to be recorded and this home's own. */
async function finish(
  recording: Recording,
  number: number,
  unfinished: Uint8Array,
  draft: ErasureDraft,
): Promise<void> {
  const name = names.erasure(number)
  const kept = await recording.kept.read(number)
  const conflict = (why: string, hint: string): never => {
    throw new BackupError("conflict", `${name}: ${why}; nothing was recorded`, { hint })
  }
  if (kept === null || sha256(kept.sealed) !== sha256(unfinished))
    return conflict(
      "lies there without a signature, and this home did not make it",
      "record again where it was begun, or remove it with the administrator's rights",
    )
  const begun = erasureCodec.decode(kept.plain, name)
  if (essence(begun, begun.created) !== essence(draft, begun.created))
    conflict("another erasure was begun and never signed", "record that one again first, which finishes it")
  await commit(recording, number, await recording.signer.detached(kept.sealed, recording.signal))
}

/** What a draft says, in one form. */
function essence(of: ErasureDraft, created: string): string {
  const { source, until, paths, files, sql, database, reason, ticket, replaces } = of
  const lists = [paths, files].map((list) => [...list].sort())
  return JSON.stringify([source, until ?? created, lists, sql, database, reason, ticket, replaces])
}

async function seal({ sealer, trust, signal }: Recording, plain: Uint8Array): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  const content = (async function* () {
    yield plain
  })()
  const to = { certificates: present(trust), passphrase: null }
  for await (const piece of sealer.seal(content, to, signal)) pieces.push(Uint8Array.from(piece))
  return new Uint8Array(Buffer.concat(pieces))
}

/** Certificates of all who may open a run or its release: present holders, operators and verifiers. */
function present({ policy, certificates }: Trust): Certificate[] {
  const roles = [
    ...policy.holders.map((entry) => ({ ...entry, path: certificatePath("holder", entry.file) })),
    ...policy.operators.map((entry) => ({ ...entry, path: certificatePath("operator", entry.file) })),
    ...(policy.verifiers ?? []).map((entry) => ({ ...entry, path: certificatePath("verifier", entry.file) })),
  ]
  return roles
    .filter(({ status }) => status === "present")
    .map(({ sha256, path }) => {
      const certificate = certificates.get(sha256)
      if (certificate !== undefined) return certificate
      throw new BackupError("tampered", `${path}: is not as the policy names it; nothing was recorded`, {
        hint: "backup-cloud verify lists what is wrong",
      })
    })
}

function sealedToPresent({ trust }: Recording, record: SealedErasure | undefined): boolean {
  if (record === undefined) return false
  try {
    checkPkesks(leadingPkesks(record.sealed, record.name), present(trust), record.name)
    return true
  } catch (error) {
    if (isFault(error, "refused")) return false
    throw error
  }
}

/** The signature of a record that lies there already. */
async function commit({ store, signal }: Recording, number: number, signature: Uint8Array): Promise<void> {
  await store.create(`${names.erasure(number)}.sig`, [signature], sha256(signature), signal)
}

/** What a record says, from the administrator's home. */
async function textOf(
  kept: KeptErasures,
  { number, name, sha256: digest }: SealedErasure,
  records: readonly SealedErasure[],
): Promise<Erasure> {
  const found = await kept.read(number)
  if (found === null || sha256(found.sealed) !== digest)
    throw new BackupError("not-found", `${name}: this home does not keep what it says; nothing was said again`, {
      hint: "use the home it was recorded with, or put there what a holder reads with gpg -d, and the object itself beside it",
    })
  const text = erasureCodec.decode(found.plain, name)
  if (text.number !== number || text.previous !== (records[number - 2]?.sha256 ?? ""))
    throw new BackupError(
      "tampered",
      `${name}: what this home keeps of it belongs to another place; nothing was said again`,
    )
  return text
}
