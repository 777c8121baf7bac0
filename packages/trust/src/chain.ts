// The chain of policies, from number 1 up to the last whose signatures count. Where a current object does not fit, older
// stored versions of it are tried. It ends quietly where nothing follows, and with a problem where something does.

import { isFault, names, type Policy, policyCodec } from "@backup-cloud/format"
import type { CertificateInfo, Verifier } from "@backup-cloud/openpgp"
import type { ArchiveReader } from "@backup-cloud/store"
import { certificatePath, needsCosign } from "./policy.ts"
import { ObjectError, type Problem, problemOf } from "./problems.ts"
import { notFollowing } from "./proposal.ts"
import { candidates, readObject, sha256 } from "./read.ts"
import { brokenRule } from "./rules.ts"
import { AS_IT_WAS, changedUncovered } from "./signature-form.ts"

export interface ChainInput {
  readonly reader: ArchiveReader
  readonly verifier: Verifier
  readonly administrator: CertificateInfo
  /** Names of all current objects below `config/`. */
  readonly listed: ReadonlySet<string>
  /** The certificate at `path`, if it has this digest and fingerprint; `null` after noting a problem. */
  certificate(entry: {
    readonly path: string
    readonly sha256: string
    readonly fingerprint: string
  }): Promise<CertificateInfo | null>
  readonly problems: Problem[]
  readonly signal: AbortSignal
}

export interface Chain {
  readonly policies: ReadonlyMap<number, Policy>
  readonly unfinished: Uint8Array | null
}

export async function readChain(input: ChainInput): Promise<Chain> {
  const policies = new Map<number, Policy>()
  let before: Policy | null = null
  for (;;) {
    const number: number = (before?.number ?? 0) + 1
    const next: Policy | null = await readPolicy(input, number, before)
    if (next === null) return { policies, unfinished: await unfinished(input, number) }
    policies.set(number, next)
    before = next
  }
}

async function readPolicy(input: ChainInput, number: number, before: Policy | null): Promise<Policy | null> {
  const name = names.policy(number)
  const signed = await readSigned(input, name)
  if (signed === null) {
    const beyond = highestSigned(input.listed)
    if (beyond >= number && !input.problems.some((p) => p.object.startsWith(name)))
      input.problems.push({ fault: "tampered", object: name, why: `is missing, and policy ${beyond} is there` })
    return null
  }
  try {
    const policy = policyCodec.decode(signed, name)
    const wrong = notFollowing(before, policy) ?? brokenRule(policy)
    if (policy.number !== number || wrong !== null)
      throw new ObjectError("tampered", name, wrong ?? "bears another number")
    // The fingerprint is pinned, so the key is right all the same; somebody only touched the file.
    if (number === 1 && policy.administrator.sha256 !== sha256(input.administrator.bytes)) {
      const object = `config/admin/${policy.administrator.file}`
      input.problems.push({ fault: "tampered", object, why: "is not the file that the policy names" })
    }
    await checkCosignatures(input, name, signed, before, policy)
    return policy
  } catch (error) {
    input.problems.push(problemOf(error, name))
    return null
  }
}

/** The bytes under `name` with the administrator's signature that counts; `null` if there is none or none that does. */
export async function readSigned(
  input: Pick<ChainInput, "reader" | "verifier" | "administrator" | "problems" | "signal">,
  name: string,
): Promise<Uint8Array | null> {
  const { reader, verifier, administrator, problems, signal } = input
  const signatureName = `${name}.sig`
  let first: Problem[] = []
  for await (const signature of candidates(reader, signatureName, signal)) {
    for await (const policy of candidates(reader, name, signal)) {
      try {
        await verifier.detached(policy.bytes, signature.bytes, administrator, signatureName, signal, AS_IT_WAS)
      } catch (error) {
        // That no signature could be looked at must not pass for a shorter chain.
        if (isFault(error, "unavailable")) throw error
        const why = `does not agree with ${signatureName}: one of them was changed, or somebody else signed`
        if (first.length === 0)
          first = [{ fault: "tampered", object: name, why }, problemOf(error, signatureName, "tampered")]
        continue
      }
      const found = [
        [name, policy.version],
        [signatureName, signature.version],
      ] as const
      for (const [object, version] of found)
        if (version !== null)
          problems.push({
            fault: "tampered",
            object,
            why: "is not what was signed; a stored version of it is",
            version,
          })
      const why = changedUncovered(signature.bytes, policy.bytes)
      if (why !== null) problems.push({ fault: "tampered", object: signatureName, why })
      return policy.bytes
    }
    if (first.length === 0) first = [{ fault: "tampered", object: name, why: "is missing, and its signature is there" }]
  }
  problems.push(...first)
  return null
}

async function checkCosignatures(
  input: ChainInput,
  name: string,
  signed: Uint8Array,
  before: Policy | null,
  policy: Policy,
): Promise<void> {
  let counted = 0
  for (const object of input.listed) {
    if (!object.startsWith(`${name}.`) || object === `${name}.sig`) continue
    const fingerprint = object.slice(name.length + 1, -".sig".length)
    const holder = before?.holders.find((each) => each.fingerprint === fingerprint && each.status === "present")
    try {
      if (holder === undefined) throw new ObjectError("refused", object, "is by no holder present before")
      const entry = { path: certificatePath("holder", holder.file), sha256: holder.sha256, fingerprint }
      const certificate = await input.certificate(entry)
      const signature = await readObject(input.reader, object, input.signal)
      if (certificate === null || signature === null) continue
      await input.verifier.detached(signed, signature, certificate, object, input.signal, AS_IT_WAS)
      const why = changedUncovered(signature, signed)
      if (why !== null) input.problems.push({ fault: "tampered", object, why })
      counted++
    } catch (error) {
      if (isFault(error, "unavailable")) throw error
      input.problems.push(problemOf(error, object, "tampered"))
    }
  }
  const needed = before === null ? 0 : needsCosign(before, policy)
  if (counted < needed)
    throw new ObjectError(
      "tampered",
      name,
      `changes who may release, and ${needed - counted} holders' signatures are missing`,
    )
}

function highestSigned(listed: ReadonlySet<string>): number {
  let highest = 0
  for (const name of listed) {
    const digits = /^config\/policy-([0-9]{6})\.json\.sig$/.exec(name)?.[1]
    if (digits !== undefined) highest = Math.max(highest, Number(digits))
  }
  return highest
}

async function unfinished({ reader, listed, signal }: ChainInput, number: number): Promise<Uint8Array | null> {
  const name = names.policy(number)
  if (!listed.has(name) || listed.has(`${name}.sig`)) return null
  return readObject(reader, name, signal)
}
