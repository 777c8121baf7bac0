// A policy on its way: signed by the administrator, and to be co-signed by holders where it changes who they are or what
// a release needs. It travels as a file, since holders work offline, and counts for nothing until it is published.
//
// The file is no part of the archive. It carries the policy before, so that a holder sees what would change.

import { BackupError, FORMAT, type Policy, patterns, policyCodec } from "@backup-cloud/format"
import type { CertificateInfo, Signer, Verifier } from "@backup-cloud/openpgp"
import * as v from "valibot"
import { certificatePath, needsCosign, policyDigest } from "./policy.ts"
import { sha256 } from "./read.ts"
import { brokenRule } from "./rules.ts"
import { AS_IT_WAS } from "./signature-form.ts"

export interface Proposal {
  /** The policy in force; `null` for the first. */
  readonly before: Policy | null
  readonly after: Policy
  /** By the administrator, of `after`. */
  readonly signature: Uint8Array
  /** Bytes by object name, of every certificate that `after` names and `before` does not. */
  readonly certificates: ReadonlyMap<string, Uint8Array>
  /** Detached signatures of `after` by holder's fingerprint. */
  readonly cosignatures: ReadonlyMap<string, Uint8Array>
}

/** Signs `after`. @param certificates at least those that are new, by object name; others are left out */
export async function proposePolicy(
  before: Policy | null,
  after: Policy,
  certificates: ReadonlyMap<string, Uint8Array>,
  signer: Signer,
  signal: AbortSignal,
): Promise<Proposal> {
  if (signer.fingerprint !== after.administrator.fingerprint)
    throw new BackupError(
      "refused",
      `the policy's administrator is ${after.administrator.fingerprint}, not ${signer.fingerprint}`,
    )
  const known = new Set(before === null ? [] : namedCertificates(before).map((each) => each.path))
  const fresh = namedCertificates(after).filter((each) => !known.has(each.path))
  const taken = fresh.map(({ path }) => {
    const bytes = certificates.get(path)
    if (bytes === undefined) throw new BackupError("usage", `${path}: the new policy names it, and it was not given`)
    return [path, bytes] as const
  })
  const signature = await signer.detached(policyCodec.encode(after), signal)
  return { before, after, signature, certificates: new Map(taken), cosignatures: new Map() }
}

/** The proposal with one more co-signature. Throws `refused` if `signer` was no present holder before. */
export async function cosignPolicy(proposal: Proposal, signer: Signer, signal: AbortSignal): Promise<Proposal> {
  const holder = proposal.before?.holders.find((each) => each.fingerprint === signer.fingerprint)
  if (holder?.status !== "present")
    throw new BackupError("refused", `${signer.fingerprint} is not a present holder of the policy in force`)
  const signature = await signer.detached(policyCodec.encode(proposal.after), signal)
  return { ...proposal, cosignatures: new Map([...proposal.cosignatures, [signer.fingerprint, signature]]) }
}

/**
 * Checks a proposal as it comes from a file: the administrator's signature, that it follows the policy before, the
 * rules, the new certificates. Co-signatures are checked when it is published. Throws `refused`.
 */
export async function judgeProposal(
  proposal: Proposal,
  administrator: CertificateInfo,
  verifier: Verifier,
  signal: AbortSignal,
): Promise<void> {
  const { before, after, certificates } = proposal
  const object = `proposed policy ${after.number}`
  const refused = (why: string): BackupError => new BackupError("refused", `${object}: ${why}`)
  await verifier.detached(policyCodec.encode(after), proposal.signature, administrator, object, signal, AS_IT_WAS)
  if (after.administrator.fingerprint !== administrator.fingerprint) throw refused("names another administrator")
  const wrong = notFollowing(before, after) ?? brokenRule(after)
  if (wrong !== null) throw refused(wrong)
  const named = new Map(namedCertificates(after).map((each) => [each.path, each]))
  for (const [path, bytes] of certificates) {
    const entry = named.get(path)
    if (entry === undefined) throw refused(`brings ${path}, which it does not name`)
    const { fingerprint } = await verifier.certificate(bytes, path, signal)
    if (sha256(bytes) !== entry.sha256 || fingerprint !== entry.fingerprint)
      throw refused(`${path} is not the one it names`)
  }
}

/** Why `after` cannot come right after `before`; `null` if it can. */
export function notFollowing(before: Policy | null, after: Policy): string | null {
  if (before === null) return after.number === 1 && after.previous === "" ? null : "is not the first of its archive"
  if (after.archive !== before.archive) return "belongs to another archive"
  if (after.number !== before.number + 1) return `does not follow number ${before.number}`
  if (after.previous !== policyDigest(before)) return "names another policy before it"
  if (JSON.stringify(after.administrator) !== JSON.stringify(before.administrator)) return "changes the administrator"
  return null
}

/** Every certificate that a policy names, administrator's excepted. `path` is its object name. */
export function namedCertificates(policy: Policy) {
  const at =
    (role: Parameters<typeof certificatePath>[0]) =>
    (entry: { file: string; sha256: string; fingerprint: string }) => ({
      path: certificatePath(role, entry.file),
      sha256: entry.sha256,
      fingerprint: entry.fingerprint,
    })
  return [
    ...policy.holders.map(at("holder")),
    ...(policy.verifiers ?? []).map(at("verifier")),
    ...policy.operators.map(at("operator")),
    ...policy.sources.flatMap((source) => source.keys.map(at("source"))),
  ]
}

/** How many more co-signatures the proposal needs. */
export function cosignaturesMissing({ before, after, cosignatures }: Proposal): number {
  return before === null ? 0 : Math.max(0, needsCosign(before, after) - cosignatures.size)
}

const base64 = v.pipe(v.string(), v.base64())
const fileSchema = v.strictObject({
  format: v.literal(FORMAT),
  type: v.literal("proposal"),
  before: base64,
  after: base64,
  signature: base64,
  certificates: v.array(
    v.strictObject({ name: v.pipe(v.string(), v.regex(/^config\/[a-z-]+\/[a-z0-9-]+\.asc$/)), bytes: base64 }),
  ),
  cosignatures: v.array(v.strictObject({ holder: v.pipe(v.string(), v.regex(patterns.fingerprint)), bytes: base64 })),
})

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")
const fromText = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))

/** The proposal as a file to hand around: JSON text. */
export function encodeProposal(proposal: Proposal): string {
  const file: v.InferOutput<typeof fileSchema> = {
    format: FORMAT,
    type: "proposal",
    before: proposal.before === null ? "" : toText(policyCodec.encode(proposal.before)),
    after: toText(policyCodec.encode(proposal.after)),
    signature: toText(proposal.signature),
    certificates: [...proposal.certificates].map(([name, bytes]) => ({ name, bytes: toText(bytes) })),
    cosignatures: [...proposal.cosignatures].map(([holder, bytes]) => ({ holder, bytes: toText(bytes) })),
  }
  return `${JSON.stringify(file, null, 2)}\n`
}

/** Reads a file that `encodeProposal` wrote, without judging it. Throws `tampered`, naming `object`, for anything else. */
export function decodeProposal(text: string, object: string): Proposal {
  let file: v.InferOutput<typeof fileSchema>
  try {
    file = v.parse(fileSchema, JSON.parse(text))
  } catch (cause) {
    throw new BackupError("tampered", `${object}: is not a proposed policy`, { cause })
  }
  return {
    before: file.before === "" ? null : policyCodec.decode(fromText(file.before), `${object}: policy before`),
    after: policyCodec.decode(fromText(file.after), `${object}: proposed policy`),
    signature: fromText(file.signature),
    certificates: new Map(file.certificates.map((each) => [each.name, fromText(each.bytes)])),
    cosignatures: new Map(file.cosignatures.map((each) => [each.holder, fromText(each.bytes)])),
  }
}
