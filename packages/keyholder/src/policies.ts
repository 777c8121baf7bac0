// The policies and certificates a request carries, checked from the pinned fingerprint on. The attachment is read as if it
// were an archive of its own, so the rules are those of everybody else who reads policies.

import { BackupError, type Policy, type ReleaseRequest } from "@backup-cloud/format"
import type { Verifier } from "@backup-cloud/openpgp"
import { type LoadOptions, loadTrust, memoryInMemory, policyDigest, type Trust } from "@backup-cloud/trust"

type Attachment = ReleaseRequest["trust"]
type Reader = LoadOptions["reader"]

/** The policies of an archive, checked from the pinned administrator on. */
export interface Policies {
  /** In order from number 1, without gaps. */
  readonly chain: readonly { readonly policy: Policy; readonly sha256: string }[]
  readonly newest: Policy
  readonly trust: Trust
  /** What is odd about the attachment without changing what is in force, a sentence each. */
  readonly oddities: readonly string[]
}

/**
 * @param administrator fingerprint that this machine pinned
 * Throws `refused`, `tampered` or `not-found` unless the attachment holds policies of this administrator, whole to the last.
 */
export async function loadPolicies(
  attachment: Attachment,
  administrator: string,
  verifier: Verifier,
  signal: AbortSignal,
): Promise<Policies> {
  const reader = attachmentReader(attachment)
  // What this holder remembers is compared by the caller; the loader is given an empty memory and keeps nothing.
  const trust = await loadTrust({ reader, verifier, admin: administrator, home: memoryInMemory(), signal })
  const broken = trust.problems.find((problem) => problem.object.startsWith("config/policy-"))
  if (broken !== undefined) throw new BackupError("refused", `${broken.object}: ${broken.why}`)
  const chain = [...trust.policies]
    .sort(([a], [b]) => a - b)
    .map(([, policy]) => ({ policy, sha256: policyDigest(policy) }))
  return {
    chain,
    newest: trust.policy,
    trust,
    oddities: trust.problems.map((problem) => `${problem.object} ${problem.why}.`),
  }
}

/** The attachment as an archive that can only be read. */
function attachmentReader(attachment: Attachment): Reader {
  const files = new Map(attachment.map((each) => [each.name, Buffer.from(each.bytes, "base64")]))
  const arrived = new Date(0)
  const info = (name: string, bytes: Uint8Array) => ({ name, size: bytes.length, arrived })
  return {
    url: "request",
    async stat(name) {
      const bytes = files.get(name)
      return bytes === undefined ? null : info(name, bytes)
    },
    async *read(name, _signal, options = {}) {
      const bytes = files.get(name)
      if (bytes === undefined) throw new BackupError("not-found", `${name}: the request does not bring it`)
      yield bytes.subarray(options.start ?? 0, options.end ?? bytes.length)
    },
    async *list(prefix) {
      for (const [name, bytes] of files) if (name.startsWith(prefix)) yield info(name, bytes)
    },
    async versions(name) {
      const bytes = files.get(name)
      return bytes === undefined ? [] : [{ ...info(name, bytes), version: "", deleted: false }]
    },
  }
}
