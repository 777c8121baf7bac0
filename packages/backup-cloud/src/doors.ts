// The OpenPGP doors that work needs which has no private key of a person: through gpg, or, where there is none, through
// OpenPGP.js in this process.

import {
  type GpgHome,
  openGpgHome,
  type PassphraseOpener,
  type Sealer,
  type Signer,
  type Verifier,
} from "@backup-cloud/openpgp"
import { gpgPassphraseOpener, jsPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgSealer, jsSealer } from "@backup-cloud/openpgp/seal"
import { importedGpgSigner, jsSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"

export interface Doors {
  readonly sealer: Sealer
  readonly opener: PassphraseOpener
  /** Whoever asks for it closes it, if it can be closed. */
  verifier(): Verifier & Partial<AsyncDisposable>
  /** @param parent folder for what holds the key in a file; the system's temporary one unless given */
  signing(parent?: string): Promise<Signing>
}

/** Makes signers of generated keys; they are good until it is disposed of. */
export interface Signing extends AsyncDisposable {
  /** @param key unprotected, armoured */
  signer(key: Uint8Array): Promise<Signer>
}

/** @param home a temporary one, disposed of by whoever opened it */
export function gpgDoors(home: GpgHome): Doors {
  return {
    sealer: gpgSealer(home),
    opener: gpgPassphraseOpener(home),
    verifier: () => gpgVerifier(home),
    async signing(parent) {
      const own = await openGpgHome(parent === undefined ? {} : { parent })
      return {
        signer: (key) => importedGpgSigner(own, key),
        [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
      }
    },
  }
}

/** Nothing is written anywhere. */
export function jsDoors(): Doors {
  return {
    sealer: jsSealer(),
    opener: jsPassphraseOpener(),
    verifier: () => jsVerifier(),
    signing: async () => ({ signer: jsSigner, async [Symbol.asyncDispose]() {} }),
  }
}
