// Results of drills in an archive: put there, read and judged, and what they say of which source is overdue. A result counts
// if it was signed by somebody who was an operator, or the source's verifier, when it arrived.

import { createHash } from "node:crypto"
import {
  BackupError,
  type DrillResult,
  type DrillRule,
  drillCodec,
  isFault,
  names,
  type Policy,
  patterns,
} from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import { readObject, type Trust } from "@backup-cloud/trust"

/** A result on its way into an archive. */
export interface SignedResult {
  readonly bytes: Uint8Array
  /** Detached. */
  readonly signature: Uint8Array
}

export interface JudgedResult {
  /** Name of the object. */
  readonly name: string
  /** `null` if it cannot be read as one. */
  readonly result: DrillResult | null
  /** Why it counts for nothing; `null` if it counts. */
  readonly why: string | null
  /** When its signature arrived in the store. */
  readonly arrived: Date
}

export async function signResult(result: DrillResult, signer: Signer, signal: AbortSignal): Promise<SignedResult> {
  const bytes = drillCodec.encode(result)
  return { bytes, signature: await signer.detached(bytes, signal) }
}

/**
 * Puts a result into the archive; done again, it finishes. Throws `refused` if it is of another archive or by nobody who may
 * drill its source today, `conflict` if another has its name.
 */
export async function publishResult(
  trust: Trust,
  store: ArchiveReader & ArchiveWriter,
  { bytes, signature }: SignedResult,
  signal: AbortSignal,
): Promise<DrillResult> {
  const result = drillCodec.decode(bytes, "the result")
  const name = names.drill(result.id)
  const why = await judge(trust, result, { bytes, signature }, [trust.policy], signal)
  if (why !== null) throw new BackupError("refused", `${name}: ${why}; it was not put into the archive`)
  for (const [object, content] of [[name, bytes] as const, [`${name}.sig`, signature] as const]) {
    try {
      await store.create(object, [content], createHash("sha256").update(content).digest("hex"), signal)
    } catch (error) {
      if (!isFault(error, "conflict")) throw error
      const there = await readObject(store, object, signal)
      // A signature made again has other bytes.
      if (there === null || (object === name && !Buffer.from(there).equals(content))) throw error
    }
  }
  return result
}

/** All results that are signed, the newest id first; whoever has seen enough stops. */
export async function* drillResults(
  trust: Trust,
  reader: ArchiveReader,
  signal: AbortSignal,
): AsyncGenerator<JudgedResult, void, undefined> {
  const signatures: { readonly name: string; readonly arrived: Date }[] = []
  for await (const { name, arrived } of reader.list("drills/", signal)) {
    const id = /^drills\/(.*)\.json\.sig$/.exec(name)?.[1] ?? ""
    if (patterns.run.test(id)) signatures.push({ name: names.drill(id), arrived })
  }
  for (const { name, arrived } of signatures.reverse()) yield await readResult(trust, reader, name, arrived, signal)
}

async function readResult(
  trust: Trust,
  reader: ArchiveReader,
  name: string,
  arrived: Date,
  signal: AbortSignal,
): Promise<JudgedResult> {
  const bytes = await readObject(reader, name, signal)
  const signature = await readObject(reader, `${name}.sig`, signal)
  if (bytes === null || signature === null) return { name, result: null, why: "is not whole", arrived }
  try {
    const result = drillCodec.decode(bytes, name)
    if (names.drill(result.id) !== name) return { name, result, why: "has another id than its name", arrived }
    const policies = [trust.policy, policyAt(trust, arrived)]
    return { name, result, why: await judge(trust, result, { bytes, signature }, policies, signal), arrived }
  } catch (error) {
    if (!isFault(error, "tampered")) throw error
    return { name, result: null, why: error.message.replace(`${name}: `, ""), arrived }
  }
}

/** The policy that was in force at `time`. */
function policyAt({ policies, policy }: Trust, time: Date): Policy {
  const earlier = [...policies.values()].filter(({ created }) => Date.parse(created) <= time.getTime())
  return earlier.at(-1) ?? policies.get(1) ?? policy
}

/** Why a result does not count; `null` if it does by one of `policies`. */
async function judge(
  trust: Trust,
  result: DrillResult,
  { bytes, signature }: SignedResult,
  policies: readonly Policy[],
  signal: AbortSignal,
): Promise<string | null> {
  if (result.archive !== trust.archive.archive) return "is of another archive"
  const entry = policies.flatMap((policy) => drillers(policy, result.source)).find(isSigner(result.operator))
  if (entry === undefined) return "is signed by nobody who was an operator or the source's verifier"
  const certificate = trust.certificates.get(entry.sha256)
  if (certificate === undefined) return "is signed with a certificate that is not in the archive"
  try {
    const object = names.drill(result.id)
    await trust.verifier.detached(bytes, signature, certificate, object, signal, { expiredKey: true })
    return null
  } catch (error) {
    if (isFault(error, "refused") || isFault(error, "tampered")) return "has no signature that counts"
    throw error
  }
}

const isSigner =
  (operator: string) =>
  ({ fingerprint }: { readonly fingerprint: string }): boolean =>
    fingerprint === operator

/** Who may sign drills of `source`. */
function drillers({ operators, verifiers = [] }: Policy, source: string) {
  return [...operators, ...verifiers.filter(({ sources }) => sources.includes(source))].filter(
    ({ status }) => status === "present",
  )
}

export interface OverdueDrill {
  readonly rule: DrillRule
  /** The last drill that passed and counts; `null` if there is none. */
  readonly last: JudgedResult | null
}

const DAY = 86_400_000

/** The sources that have not passed a drill for as long as the policy asks. Reads no more results than it takes. */
export async function overdueDrills(
  trust: Trust,
  results: AsyncIterable<JudgedResult>,
  now: Date,
): Promise<OverdueDrill[]> {
  const rules = (trust.policy.drills ?? []).filter(({ source }) => isPresent(trust.policy, source))
  const last = new Map<string, JudgedResult>()
  if (rules.length === 0) return []
  for await (const judged of results) {
    const { result, why } = judged
    if (result?.outcome !== "passed" || why !== null || last.has(result.source)) continue
    last.set(result.source, judged)
    if (rules.every(({ source }) => last.has(source))) break
  }
  return rules
    .map((rule) => ({ rule, last: last.get(rule.source) ?? null }))
    .filter((each) => each.last === null || now.getTime() - endOf(each.last) > each.rule.every_days * DAY)
}

/** When a drill ended: not later than its result arrived, whatever it says. */
const endOf = ({ result, arrived }: JudgedResult): number =>
  Math.min(arrived.getTime(), Date.parse(result?.finished ?? "") || 0)

function isPresent({ sources }: Policy, name: string): boolean {
  return sources.some((source) => source.name === name && source.keys.at(-1)?.accept_until === "")
}
