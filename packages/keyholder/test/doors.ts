// The doors a holder's machine has, on a keyring of the tests.

import type { PrivateOpener, Signer, Verifier } from "@backup-cloud/openpgp"
import { personalHome } from "@backup-cloud/openpgp"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { gpgSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"

export interface Doors {
  readonly verifier: Verifier
  readonly jsVerifier: Verifier
  /** Ends the verifier's own homes. */
  close(): Promise<void>
  holder(fingerprint: string): { opener: PrivateOpener; signer: Signer }
}

export function openDoors(path: string): Doors {
  const home = personalHome(path)
  const verifier = gpgVerifier()
  return {
    verifier,
    close: async () => {
      await verifier[Symbol.asyncDispose]()
    },
    jsVerifier: jsVerifier(),
    holder: (fingerprint) => ({ opener: gpgPrivateOpener(home), signer: gpgSigner(home, fingerprint) }),
  }
}
