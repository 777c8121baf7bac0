// From the pinned fingerprint to the policy in force: archive.json, the administrator's certificate, the chain of
// policies, the certificates they name. What the machine remembers is compared with what it finds, then brought up to date.

import { archiveCodec, BackupError, inOrder, isFault, names, step } from "@backup-cloud/format"
import type { CertificateInfo, Verifier } from "@backup-cloud/openpgp"
import type { ArchiveReader } from "@backup-cloud/store"
import { readChain } from "./chain.ts"
import { type Memory, newMemory, type TrustMemory } from "./memory.ts"
import { policyDigest } from "./policy.ts"
import { ObjectError, type Problem, problemError, problemOf, worst } from "./problems.ts"
import { namedCertificates } from "./proposal.ts"
import { candidates, readObject, sha256 } from "./read.ts"
import type { Trust } from "./trust.ts"

export interface LoadOptions {
  readonly reader: ArchiveReader
  readonly verifier: Verifier
  /** Pinned fingerprint of the administrator. */
  readonly admin: string
  readonly home: TrustMemory
  readonly signal: AbortSignal
  /** As a source needs it: anything wrong below `config/` throws, a certificate that no policy names as `refused`. */
  readonly strict?: boolean
}

/**
 * Throws `alarm` if the archive is older than, or another than, what this machine remembers; `not-found` if there is no
 * archive; `tampered` or `refused` if no policy is in force. Everything else that is wrong is in `problems`.
 */
export async function loadTrust(options: LoadOptions): Promise<Trust> {
  return await step("load trust", {}, () => load(options))
}

async function load(options: LoadOptions): Promise<Trust> {
  const { reader, verifier, admin, home, signal } = options
  const memory = (await home.read()) ?? newMemory(admin)
  if (memory.admin !== admin)
    throw new BackupError("refused", `this machine trusts the administrator ${memory.admin}, not ${admin}`)
  const archive = await readArchiveDocument(reader, memory, signal)
  const administrator = await readAdministrator(reader, verifier, admin, signal)
  const listed = new Set<string>()
  for await (const { name } of reader.list("config/", signal)) listed.add(name)

  const problems: Problem[] = []
  const certificate = certificateReader(reader, verifier, problems, signal)
  const chain = await readChain({
    ...{ reader, verifier, administrator, listed, problems, signal },
    certificate,
  })
  const policy = chain.policies.get(chain.policies.size)
  if (policy === undefined) {
    const why = worst(problems)
    if (why !== null) throw problemError(why)
    if (await holdsRuns(reader, signal))
      throw new ObjectError("tampered", `${names.policy(1)}.sig`, "is missing, and the archive has runs")
    throw new BackupError("not-found", `${names.policy(1)}: the archive has no signed policy`, {
      hint: "run `backup-cloud init` again: it finishes what was interrupted",
    })
  }
  if (policy.archive !== archive.archive)
    throw new ObjectError("tampered", names.archive, "names another archive than the signed policy")

  const named = new Map([...chain.policies.values()].flatMap(namedCertificates).map((each) => [each.path, each]))
  const certificates = new Map<string, CertificateInfo>()
  for await (const info of inOrder(named.values(), 4, signal, certificate))
    if (info !== null) certificates.set(sha256(info.bytes), info)
  problems.push(...unnamed(listed, new Set(named.keys()), admin))
  const trust: Trust = {
    ...{ archive, administrator, policy, policies: chain.policies, problems, verifier },
    ...{ policyDigest: policyDigest(policy), certificates, unfinished: chain.unfinished },
  }
  checkPolicyMemory(memory, trust)
  const fault = options.strict === true ? worst(problems) : null
  if (fault !== null) throw problemError(fault, "have the administrator look at the archive's configuration first")
  if (memory.policy?.number !== policy.number || memory.policy.sha256 === "")
    await home.write({
      ...memory,
      archive: archive.archive,
      policy: { number: policy.number, sha256: trust.policyDigest },
    })
  return trust
}

/** Whether anything was backed up, which needs a signed policy: then it is not a setup that was interrupted. */
async function holdsRuns(reader: ArchiveReader, signal: AbortSignal): Promise<boolean> {
  try {
    for await (const { name } of reader.list("backup/", signal)) return name !== ""
  } catch (error) {
    // A source may list its own runs alone.
    if (!isFault(error, "refused")) throw error
  }
  return false
}

async function readArchiveDocument(reader: ArchiveReader, memory: Memory, signal: AbortSignal) {
  const bytes = await readObject(reader, names.archive, signal)
  if (bytes === null)
    throw new BackupError("not-found", `${names.archive}: ${reader.url} holds no archive`, {
      hint: "check the address, or make an archive with `backup-cloud init`",
    })
  const archive = archiveCodec.decode(bytes, names.archive)
  if (memory.archive !== "" && memory.archive !== archive.archive)
    throw new BackupError(
      "alarm",
      `${names.archive}: is of archive ${archive.archive}; this machine knows ${memory.archive}`,
    )
  return archive
}

async function readAdministrator(
  reader: ArchiveReader,
  verifier: Verifier,
  admin: string,
  signal: AbortSignal,
): Promise<CertificateInfo> {
  const name = `config/admin/${admin}.asc`
  let first: unknown = null
  for await (const { bytes } of candidates(reader, name, signal)) {
    try {
      const info = await verifier.certificate(bytes, name, signal)
      if (info.fingerprint === admin) return info
      first ??= new ObjectError("refused", name, `is the certificate of ${info.fingerprint}`)
    } catch (error) {
      problemOf(error, name)
      first ??= error
    }
  }
  if (first !== null) throw first as Error
  throw new ObjectError("refused", name, "the archive is not one of this machine's administrator", {
    hint: "check the address, and the fingerprint that was pinned with `backup-cloud trust`",
  })
}

/** Reads each named certificate once, and keeps those that are what the policy says. */
function certificateReader(reader: ArchiveReader, verifier: Verifier, problems: Problem[], signal: AbortSignal) {
  const started = new Map<string, Promise<CertificateInfo | null>>()
  const load = async (entry: {
    path: string
    sha256: string
    fingerprint: string
  }): Promise<CertificateInfo | null> => {
    const { path } = entry
    let there = false
    try {
      for await (const { bytes, version } of candidates(reader, path, signal)) {
        there = true
        if (sha256(bytes) !== entry.sha256) continue
        if (version !== null)
          problems.push({
            fault: "tampered",
            object: path,
            why: "is not what the policy names; a stored version is",
            version,
          })
        const info = await verifier.certificate(bytes, path, signal)
        if (info.fingerprint !== entry.fingerprint)
          throw new ObjectError("tampered", path, `is the certificate of ${info.fingerprint}`)
        return info
      }
      const why = there ? "is not the certificate that the policy names" : "is missing, and the policy names it"
      problems.push({ fault: "tampered", object: path, why })
    } catch (error) {
      problems.push(problemOf(error, path))
    }
    return null
  }
  return (entry: { path: string; sha256: string; fingerprint: string }): Promise<CertificateInfo | null> => {
    const key = `${entry.path} ${entry.sha256}`
    const running = started.get(key) ?? load(entry)
    started.set(key, running)
    return running
  }
}

function unnamed(listed: ReadonlySet<string>, named: ReadonlySet<string>, admin: string): Problem[] {
  return [...listed]
    .filter((name) => /^config\/(?:public-keys|sources|operators|admin)\//.test(name))
    .filter((name) => !named.has(name) && name !== `config/admin/${admin}.asc`)
    .map((object) => ({ fault: "refused", object, why: "is a certificate that no policy names" }))
}

function checkPolicyMemory({ policy: seen }: Memory, { policy, policies, problems }: Trust): void {
  if (seen === null) return
  const object = names.policy(seen.number)
  if (policy.number < seen.number) {
    const damage = problems
      .filter((each) => each.object.startsWith("config/policy-"))
      .map((each) => `; ${each.object} ${each.why}`)
    const why = `was in force before, and the archive now ends at policy ${policy.number}${damage.join("")}`
    throw new ObjectError("alarm", object, why, {
      hint: "an older state of the archive was put back, or a newer policy damaged: find out which before anything else",
    })
  }
  const now = policies.get(seen.number)
  if (seen.sha256 !== "" && now !== undefined && policyDigest(now) !== seen.sha256)
    throw new ObjectError("alarm", object, "is another policy than the one this machine saw under this number")
}
