// The two implementations as the contract sees them, and the small things every test here needs.

import type { PassphraseOpener, PrivateOpener, Sealer, SessionKeyOpener, Signer, Verifier } from "@backup-cloud/openpgp"
import { openGpgHome } from "@backup-cloud/openpgp"
import { importSecretKey } from "@backup-cloud/openpgp/keygen"
import { gpgPassphraseOpener, jsPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgPrivateOpener, jsPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { gpgSessionKeyOpener, jsSessionKeyOpener } from "@backup-cloud/openpgp/open-session"
import { gpgSealer, jsSealer } from "@backup-cloud/openpgp/seal"
import { importedGpgSigner, jsSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier, jsVerifier } from "@backup-cloud/openpgp/verify"

export interface Doors extends AsyncDisposable {
  readonly sealer: Sealer
  readonly verifier: Verifier
  readonly passphraseOpener: PassphraseOpener
  readonly sessionKeyOpener: SessionKeyOpener
  signer(secretKey: Uint8Array): Promise<Signer>
  privateOpener(secretKey: Uint8Array): Promise<PrivateOpener>
}

export async function gpgDoors(options: { program?: string; parent?: string } = {}): Promise<Doors> {
  const stack = new AsyncDisposableStack()
  const home = async () => stack.use(await openGpgHome(options))
  const shared = await home()
  return {
    sealer: gpgSealer(shared),
    verifier: stack.use(gpgVerifier(await home())),
    passphraseOpener: gpgPassphraseOpener(shared),
    sessionKeyOpener: gpgSessionKeyOpener(shared),
    signer: async (secretKey) => importedGpgSigner(await home(), secretKey),
    async privateOpener(secretKey) {
      const own = await home()
      await importSecretKey(own, secretKey)
      return gpgPrivateOpener(own)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

export async function jsDoors(): Promise<Doors> {
  return {
    sealer: jsSealer(),
    verifier: jsVerifier(),
    passphraseOpener: jsPassphraseOpener(),
    sessionKeyOpener: jsSessionKeyOpener(),
    signer: jsSigner,
    privateOpener: async (secretKey) => jsPrivateOpener(secretKey),
    async [Symbol.asyncDispose]() {},
  }
}

export const signal = new AbortController().signal
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export async function* pieces(whole: Uint8Array, step = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += step) yield whole.subarray(at, at + step)
}

export async function joined(from: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of from) all.push(Uint8Array.from(piece))
  return Buffer.concat(all)
}

export function flipped(whole: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(whole)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
