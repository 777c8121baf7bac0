// Changing the policy: the next one is made, shown, signed by the administrator, and published or, where holders must
// co-sign, written to a file for them.

import { BackupError, timeText } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import {
  type CertificateRole,
  type Change,
  certificateFile,
  certificatePath,
  encodeProposal,
  needsCosign,
  policyAfter,
  proposePolicy,
  publishPolicy,
} from "@backup-cloud/trust"
import { writeNamed } from "./files.ts"
import type { Session } from "./session.ts"

export interface NewCertificate {
  readonly role: CertificateRole
  readonly name: string
  readonly certificate: CertificateInfo
}

/**
 * Applies `changes` to the policy in force.
 * @param out file for a policy that needs holders' signatures; without it such a change is refused
 */
export async function changePolicy(
  session: Session,
  changes: readonly Change[],
  certificates: readonly NewCertificate[],
  out: string | undefined,
): Promise<"published" | "proposed"> {
  const trust = await session.trust()
  for (const { name, certificate } of certificates) warnOfExpiry(session, name, certificate)
  const { signal, now } = session.io
  const after = policyAfter(trust, timeText(now()), ...changes)
  const bytes = new Map<string, Uint8Array>()
  for (const { role, name, certificate } of certificates) {
    bytes.set(certificatePath(role, certificateFile(name, certificate)), certificate.bytes)
  }
  const signer = session.personSigner(trust.administrator.fingerprint)
  const proposal = await proposePolicy(trust.policy, after, bytes, signer, signal)
  if (needsCosign(trust.policy, after) > 0) {
    if (out === undefined) {
      throw new BackupError(
        "refused",
        "a change of holders needs a present holder's signature as well; nothing was changed",
        {
          hint: "give --out FILE, have a holder run backup-cloud keyholder approve FILE --out SIGNED, then backup-cloud policy publish SIGNED",
        },
      )
    }
    await writeNamed(out, encodeProposal(proposal), 0o600)
    session.say(
      `Policy ${after.number} is proposed in ${out}. A present holder signs it with: backup-cloud keyholder approve ${out} --out ${out}.signed`,
    )
    session.say(`Then: backup-cloud policy publish ${out}.signed`)
    session.event({ event: "proposed", policy: after.number, file: out })
    return "proposed"
  }
  const store = await session.store()
  await publishPolicy({
    store,
    proposal,
    administrator: trust.administrator,
    verifier: await session.verifier(),
    signal,
  })
  session.say(`Policy ${after.number} is in force.`)
  session.event({ event: "published", policy: after.number })
  return "published"
}

/** A key that ends takes with it what it should still vouch for; policies end keys, not dates. */
export function warnOfExpiry(session: Session, name: string, { expires }: CertificateInfo): void {
  if (expires === null) return
  session.note(
    `WARNING: the key of ${name} ends on ${expires.toISOString().slice(0, 10)}; the policy, not a date, should end a key`,
  )
}
