// Brings a policy into an archive. Order: certificates, co-signatures, policy, signature; the signature is the commit
// point, so a crash before it leaves the policy in force as it was. Publishing the same proposal again finishes it.

import { archiveCodec, BackupError, FORMAT, isFault, names, type Policy, policyCodec } from "@backup-cloud/format"
import type { CertificateInfo, Verifier } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import { type Change, certificatePath, needsCosign, nextPolicy, policyDigest } from "./policy.ts"
import { judgeProposal, type Proposal } from "./proposal.ts"
import { readObject, sha256 } from "./read.ts"
import { AS_IT_WAS } from "./signature-form.ts"
import type { Trust } from "./trust.ts"

export interface Publishing {
  readonly store: ArchiveReader & ArchiveWriter
  readonly proposal: Proposal
  /** As pinned. */
  readonly administrator: CertificateInfo
  readonly verifier: Verifier
  readonly signal: AbortSignal
}

/**
 * Checks everything a reader will check, then writes. Throws `refused` if a signature is missing or does not count,
 * `conflict` if another policy took the number meanwhile; nothing is in force then.
 */
export async function publishPolicy(publishing: Publishing): Promise<void> {
  const { store, proposal, administrator, verifier, signal } = publishing
  const { before, after } = proposal
  await judgeProposal(proposal, administrator, verifier, signal)
  const bytes = policyCodec.encode(after)
  const name = names.policy(after.number)
  if (before !== null) await checkBefore(store, before, signal)
  const counted = before === null ? [] : await checkCosignatures(publishing, before, bytes)
  for (const [path, certificate] of proposal.certificates) await createSame(store, path, certificate, signal)
  for (const [holder, signature] of counted) await createSame(store, `${name}.${holder}.sig`, signature, signal)
  await createSame(store, name, bytes, signal)
  await createSame(store, `${name}.sig`, proposal.signature, signal)
}

/** What a new archive begins with besides its first policy. */
export interface ArchiveStart {
  /** recover.sh and RECOVER.txt by name. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

/** Writes archive.json, `files`, the administrator's certificate, then publishes policy 1. Done again, it finishes. */
export async function createArchive(publishing: Publishing, start: ArchiveStart): Promise<void> {
  const { store, proposal, administrator, signal } = publishing
  const { archive, created } = proposal.after
  // The same time as in policy 1, so that the policy's signature covers archive.json too.
  const document = archiveCodec.encode({ format: FORMAT, type: "archive", archive, created })
  await createSame(store, names.archive, document, signal)
  for (const [name, bytes] of start.files) await createSame(store, name, bytes, signal)
  await createSame(store, `config/admin/${administrator.fingerprint}.asc`, administrator.bytes, signal)
  await publishPolicy(publishing)
}

/**
 * The policy after the one in force. Where such a change was interrupted and its policy lies unsigned, that very policy,
 * so that doing the same again finishes it: a number can't be written twice. Throws `conflict` if it is another change,
 * which nobody should sign unseen.
 * @param created time, as the format writes it
 */
export function policyAfter(trust: Trust, created: string, ...changes: readonly Change[]): Policy {
  if (trust.unfinished === null) return nextPolicy(trust.policy, created, ...changes)
  const name = names.policy(trust.policy.number + 1)
  const begun = policyCodec.decode(trust.unfinished, name)
  const after = nextPolicy(trust.policy, begun.created, ...changes)
  if (policyDigest(after) === sha256(trust.unfinished)) return after
  throw new BackupError("conflict", `${name}: another change was begun and never signed; nothing was changed`, {
    hint: "do that change again to finish it, or read the file and publish it as it is if it is yours",
  })
}

async function checkBefore(store: ArchiveReader, before: Policy, signal: AbortSignal): Promise<void> {
  const name = names.policy(before.number)
  const stored = await readObject(store, name, signal)
  if (stored === null || sha256(stored) !== sha256(policyCodec.encode(before)))
    throw new BackupError("conflict", `${name}: is not the policy that the proposal changes`)
}

async function checkCosignatures(
  { store, proposal, verifier, signal }: Publishing,
  before: Policy,
  bytes: Uint8Array,
): Promise<[string, Uint8Array][]> {
  const counted: [string, Uint8Array][] = []
  for (const [fingerprint, signature] of proposal.cosignatures) {
    const object = `${names.policy(proposal.after.number)}.${fingerprint}.sig`
    const holder = before.holders.find((each) => each.fingerprint === fingerprint && each.status === "present")
    if (holder === undefined) throw new BackupError("refused", `${object}: is by no present holder`)
    const path = certificatePath("holder", holder.file)
    const certificate = await readObject(store, path, signal)
    if (certificate === null || sha256(certificate) !== holder.sha256)
      throw new BackupError("tampered", `${path}: is not the certificate that the policy names`)
    await verifier.detached(bytes, signature, { fingerprint, bytes: certificate }, object, signal, AS_IT_WAS)
    counted.push([fingerprint, signature])
  }
  const needed = needsCosign(before, proposal.after)
  if (counted.length < needed)
    throw new BackupError(
      "refused",
      `policy ${proposal.after.number} needs the signatures of ${needed} present holders`,
      {
        hint: "export it, let a holder sign it with `backup-cloud keyholder approve`, and publish what comes back",
      },
    )
  return counted
}

/** Creates `name`; that it is there with these very bytes already counts as done. Gives the digest. */
export async function createSame(
  store: ArchiveReader & ArchiveWriter,
  name: string,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
  const digest = sha256(bytes)
  try {
    await store.create(name, [bytes], digest, signal)
  } catch (error) {
    if (!isFault(error, "conflict")) throw error
    const there = await readObject(store, name, signal)
    if (there === null || sha256(there) !== digest) throw error
  }
  return digest
}
