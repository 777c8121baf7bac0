// What a machine holds to be true of an archive once it has followed the signatures from the pinned administrator.

import type { ArchiveDocument, Policy } from "@backup-cloud/format"
import type { CertificateInfo, Verifier } from "@backup-cloud/openpgp"
import type { Problem } from "./problems.ts"

export interface Trust {
  readonly archive: ArchiveDocument
  readonly administrator: CertificateInfo
  /** The highest policy with a valid chain of signatures from number 1. */
  readonly policy: Policy
  /** Digest of the policy's file. */
  readonly policyDigest: string
  readonly policies: ReadonlyMap<number, Policy>
  /** By digest of the file: every certificate that one of the policies names and that is there and intact. */
  readonly certificates: ReadonlyMap<string, CertificateInfo>
  /** What else is wrong below `config/`; each was judged not to change what is in force. */
  readonly problems: readonly Problem[]
  /** Bytes of the next policy, if it lies there without a signature: a change that was interrupted. */
  readonly unfinished: Uint8Array | null
  /** The door the signatures were checked through, for those of the runs. */
  readonly verifier: Verifier
}
