// Policies as values: each change is a function from a draft to a draft, `nextPolicy` applies some to the policy in force
// and gives the next number. Nothing here signs, reads or writes; `publish.ts` does.
//
// A policy never forgets a source's key or a holder: old receipts are judged by them.

import {
  BackupError,
  type DrillRule,
  escapeControl,
  FORMAT,
  type Handed,
  type Policy,
  policyCodec,
  type SourceKey,
  type VerifierEntry,
} from "@backup-cloud/format"
import type { Certificate, CertificateInfo } from "@backup-cloud/openpgp"
import { sha256 } from "./read.ts"
import { brokenRule } from "./rules.ts"

export interface Enrolment {
  readonly name: string
  /** As `Verifier.certificate` read it: its file holds exactly one. */
  readonly certificate: CertificateInfo
}

/** A step from one draft to the next. Throws `refused` if a rule forbids it, `not-found` if what it names is not there. */
export type Change = (draft: Policy) => Policy

export interface FirstPolicy {
  /** Archive id. */
  readonly archive: string
  /** Time, as the format writes it. */
  readonly created: string
  readonly administrator: CertificateInfo
  readonly release: Policy["release"]
  /** How many holders a release needs; 1 with `any`. */
  readonly threshold: number
  /** Digest of recover.sh. */
  readonly recover: string
  readonly rules: Policy["rules"]
  readonly holders: readonly Enrolment[]
  readonly operators: readonly Enrolment[]
}

/** Policy number 1, without sources. Throws `refused` if a rule forbids it. */
export function createPolicy(first: FirstPolicy): Policy {
  const { archive, created, administrator, release, threshold, recover, rules } = first
  if (!administrator.canSign || administrator.revoked) throw refused("the administrator's key cannot sign")
  const empty: Policy = {
    format: FORMAT,
    type: "policy",
    archive,
    number: 1,
    created,
    previous: "",
    administrator: {
      file: `${administrator.fingerprint}.asc`,
      sha256: sha256(administrator.bytes),
      fingerprint: administrator.fingerprint,
    },
    release,
    threshold,
    recover,
    holders: [],
    operators: [],
    sources: [],
    rules,
  }
  return apply(empty, [...first.holders.map(enrolHolder), ...first.operators.map(enrolOperator)])
}

/** The policy after `before`. Throws `usage` if `changes` change nothing. @param created time, as the format writes it */
export function nextPolicy(before: Policy, created: string, ...changes: readonly Change[]): Policy {
  const draft = { ...before, number: before.number + 1, created, previous: policyDigest(before) }
  const after = apply(draft, changes)
  if (policyDigest(after) === policyDigest(draft)) throw new BackupError("usage", "this changes nothing in the policy")
  return after
}

function apply(draft: Policy, changes: readonly Change[]): Policy {
  const after = changes.reduce((policy, change) => change(policy), draft)
  const broken = brokenRule(after)
  if (broken !== null) throw refused(broken)
  policyCodec.encode(after)
  return after
}

/** SHA-256 (hex) of the policy's one byte form. */
export function policyDigest(policy: Policy): string {
  return sha256(policyCodec.encode(policy))
}

/** Makes a holder `present`: a new one, one that had retired, or one whose certificate file changed. */
export function enrolHolder({ name, certificate }: Enrolment): Change {
  return (draft) => {
    usable(certificate, "holder", true)
    const entry = { ...reference(name, certificate), status: "present" as const, since: draft.created }
    const leaked = draft.holders.some((h) => h.fingerprint === entry.fingerprint && h.status === "leaked")
    if (leaked) throw refused(`the key ${entry.fingerprint} has leaked and cannot be a holder's again`)
    return { ...draft, holders: standing([...without(draft.holders, entry.fingerprint), entry]) }
  }
}

/** New runs are no longer sealed to this holder. */
export function retireHolder(fingerprint: string): Change {
  return (draft) => ({ ...draft, holders: restate(draft.holders, fingerprint, "retired", draft.created, "holder") })
}

/** As retiring; besides, no run sealed to this holder is built upon any more. */
export function leakHolder(fingerprint: string): Change {
  return (draft) => ({ ...draft, holders: restate(draft.holders, fingerprint, "leaked", draft.created, "holder") })
}

export function enrolOperator({ name, certificate }: Enrolment): Change {
  return (draft) => {
    usable(certificate, "operator", true)
    const entry = { ...reference(name, certificate), status: "present" as const, since: draft.created }
    return { ...draft, operators: standing([...without(draft.operators, entry.fingerprint), entry]) }
  }
}

export function removeOperator(fingerprint: string): Change {
  return (draft) => ({
    ...draft,
    operators: restate(draft.operators, fingerprint, "retired", draft.created, "operator"),
  })
}

export interface NewSource extends Enrolment {
  readonly kind: string
  /** Free text. */
  readonly schedule: string
}

/** Lets holders release files that an earlier system left. */
export function recordHanded(files: readonly Handed[]): Change {
  return (draft) => {
    const known = draft.handed ?? []
    const added = files.filter((file) => !known.some((each) => each.sha256 === file.sha256))
    if (added.length === 0) throw refused("the policy records these files already")
    return { ...draft, handed: [...known, ...added].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1)) }
  }
}

export function addSource({ name, certificate, kind, schedule }: NewSource): Change {
  return (draft) => {
    usable(certificate, "source", false)
    if (draft.sources.some((source) => source.name === name))
      throw refused(`the source ${name} is there already`, "give it a new key with `backup-cloud source rekey`")
    const keys = [{ ...key(name, certificate), accept_until: "" }]
    const entry = { name, kind, schedule, fresh_after: "", keys }
    return { ...draft, sources: [...draft.sources, entry].sort((a, b) => (a.name < b.name ? -1 : 1)) }
  }
}

/** Ends the source's present key: what it signs counts if it arrived by `acceptUntil`. What is stored stays. */
export function removeSource(name: string, acceptUntil: string): Change {
  return changeSource(name, (source) => {
    if (source.keys.at(-1)?.accept_until !== "") throw refused(`the source ${name} is removed already`)
    return { ...source, keys: ended(source.keys, acceptUntil) }
  })
}

/** Gives the source a new key and ends the one before; brings a removed source back. */
export function rekeySource(name: string, certificate: CertificateInfo, acceptUntil: string): Change {
  return changeSource(name, (source) => {
    usable(certificate, "source", false)
    return { ...source, keys: [...ended(source.keys, acceptUntil), { ...key(name, certificate), accept_until: "" }] }
  })
}

export function setSource(
  name: string,
  set: { readonly kind?: string; readonly schedule?: string; readonly fresh_after?: string },
): Change {
  return changeSource(name, (source) => ({ ...source, ...set }))
}

export function setRelease(release: Policy["release"], threshold: number): Change {
  return (draft) => ({ ...draft, release, threshold })
}

export function setRules(rules: Policy["rules"]): Change {
  return (draft) => ({ ...draft, rules })
}

export interface NewVerifier extends Enrolment {
  /** Names of the sources whose runs it opens without a release. */
  readonly sources: readonly string[]
}

/** Makes a verifier `present`, for just these sources: a new one, or one that is known already. */
export function enrolVerifier({ name, certificate, sources }: NewVerifier): Change {
  return (draft) => {
    usable(certificate, "verifier", true)
    if (draft.release === "threshold")
      throw refused(
        "this archive is released by several holders, and a verifier would open runs alone",
        "drill with releases",
      )
    const chosen = [...new Set(sources)].sort()
    const known = { ...reference(name, certificate), status: "present" as const, since: draft.created, sources: chosen }
    return { ...draft, verifiers: standing([...without(draft.verifiers ?? [], known.fingerprint), known]) }
  }
}

/** New runs are no longer sealed to this verifier. */
export function retireVerifier(fingerprint: string): Change {
  return (draft) => ({
    ...draft,
    verifiers: restate(draft.verifiers ?? [], fingerprint, "retired", draft.created, "verifier"),
  })
}

/** Verifiers that runs of the source are sealed to, besides the present holders. */
export function verifiersOf({ verifiers = [] }: Policy, source: string): readonly VerifierEntry[] {
  return verifiers.filter((verifier) => verifier.status === "present" && verifier.sources.includes(source))
}

/** How often a source is drilled and what its restores must keep to; `null` for no such rule. */
export function setDrillRule(source: string, rule: Omit<DrillRule, "source"> | null): Change {
  return ({ drills = [], ...draft }) => {
    const others = drills.filter((each) => each.source !== source)
    const rules = rule === null ? others : [...others, { source, ...rule }]
    return rules.length === 0 ? draft : { ...draft, drills: rules.sort((a, b) => (a.source < b.source ? -1 : 1)) }
  }
}

/** How many holders who were `present` in `before` must co-sign `after`; 0 if none need to. */
export function needsCosign(before: Policy, after: Policy): number {
  const decides = ({ holders, release, threshold, verifiers = [] }: Policy): string =>
    JSON.stringify([holders, release, threshold, verifiers])
  return decides(before) === decides(after) ? 0 : before.threshold
}

const folders = { holder: "public-keys", verifier: "public-keys", source: "sources", operator: "operators" } as const
export type CertificateRole = keyof typeof folders

/** Where the archive keeps the certificate `file` of somebody with this role. */
export function certificatePath(role: CertificateRole, file: string): string {
  return `config/${folders[role]}/${file}`
}

/** The name of a certificate's file within its folder. */
export function certificateFile(name: string, certificate: Certificate): string {
  return `${name}-${sha256(certificate.bytes).slice(0, 16)}.asc`
}

function reference(name: string, certificate: Certificate) {
  return { name, ...key(name, certificate) }
}

function key(name: string, certificate: Certificate) {
  const { fingerprint } = certificate
  return { file: certificateFile(name, certificate), sha256: sha256(certificate.bytes), fingerprint }
}

function usable(certificate: CertificateInfo, role: CertificateRole, encrypts: boolean): void {
  const lacks = certificate.revoked
    ? "is revoked"
    : !certificate.canSign
      ? "has no key that can sign now"
      : encrypts && !certificate.canEncrypt
        ? "has no key that can be encrypted to now"
        : null
  if (lacks !== null) throw refused(`the ${role}'s certificate ${certificate.fingerprint} ${lacks}`)
}

interface Standing {
  readonly name: string
  readonly since: string
  readonly fingerprint: string
}

function without<T extends Standing>(list: readonly T[], fingerprint: string): T[] {
  return list.filter((entry) => entry.fingerprint !== fingerprint)
}

function standing<T extends Standing>(list: readonly T[]): T[] {
  const order = (entry: T): string => `${entry.name} ${entry.since} ${entry.fingerprint}`
  return [...list].sort((a, b) => (order(a) < order(b) ? -1 : 1))
}

function restate<T extends Standing & { readonly status: string }>(
  list: readonly T[],
  fingerprint: string,
  status: T["status"],
  since: string,
  role: string,
): T[] {
  const entry = list.find((each) => each.fingerprint === fingerprint)
  if (entry === undefined) throw new BackupError("not-found", `no ${role} has the key ${escapeControl(fingerprint)}`)
  if (entry.status === status) throw refused(`the ${role} ${entry.name} is ${status} already`)
  return standing([...without(list, fingerprint), { ...entry, status, since }])
}

function changeSource(name: string, change: (source: Policy["sources"][number]) => Policy["sources"][number]): Change {
  return (draft) => {
    if (!draft.sources.some((source) => source.name === name))
      throw new BackupError("not-found", `the policy has no source ${escapeControl(name)}`)
    return { ...draft, sources: draft.sources.map((source) => (source.name === name ? change(source) : source)) }
  }
}

function ended(keys: readonly SourceKey[], acceptUntil: string): SourceKey[] {
  return keys.map((each) => (each.accept_until === "" ? { ...each, accept_until: acceptUntil } : each))
}

function refused(why: string, hint?: string): BackupError {
  return new BackupError("refused", why, hint === undefined ? {} : { hint })
}
