// Keys: made (for sources, tests and demonstrations), taken out of a person's keyring (the public part of one), put into
// a home. Generated keys are of version 4 with Ed25519 and Curve25519 in their old encoding, which gpg 2.2 reads, have
// no passphrase, and never expire: when they cease to count is the policy's business.

import { BackupError } from "@backup-cloud/format"
import type { Certificate } from "./doors.ts"
import { all, gpgOutput } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { library, policy } from "./js.ts"
import { certificateStructure } from "./structure.ts"

export interface GeneratedKey {
  /** Armoured, without a passphrase. */
  readonly secretKey: Uint8Array
  /** Armoured. */
  readonly certificate: Certificate
}

const MOST_CERTIFICATE = 1 << 20
const encoder = new TextEncoder()

/**
 * @param request.userId a name, or `Name <mail@example.org>`
 * @param request.kind `sign`: can sign and certify; `holder`: has a subkey to encrypt to besides
 * @param request.now when the key says it was made
 */
export async function generateKey(request: {
  readonly userId: string
  readonly kind: "sign" | "holder"
  readonly now?: Date
}): Promise<GeneratedKey> {
  const pgp = await library()
  const [, name = "", email = ""] = /^([^<>]*?)\s*(?:<([^<>]+)>)?$/.exec(request.userId) ?? []
  const userId = { ...(name === "" ? {} : { name }), ...(email === "" ? {} : { email }) }
  const subkeys = request.kind === "holder" ? [{ type: "ecc", curve: "curve25519Legacy" } as const] : []
  const made = await pgp
    .generateKey({
      userIDs: [userId],
      type: "ecc",
      curve: "ed25519Legacy",
      subkeys,
      ...(request.now === undefined ? {} : { date: request.now }),
      format: "armored",
      config: await policy(pgp),
    })
    .catch((cause: unknown) => {
      throw new BackupError("usage", `no key can be made for the user id ${JSON.stringify(request.userId)}`, { cause })
    })
  const bytes = encoder.encode(made.publicKey)
  const { fingerprint } = certificateStructure(bytes, "the new certificate")
  return { secretKey: encoder.encode(made.privateKey), certificate: { fingerprint, bytes } }
}

/**
 * One certificate of a keyring, armoured, with only its own signatures.
 * @param key a fingerprint, or anything else by which gpg finds exactly one certificate: `not-found` if none, `refused`
 * if several
 */
export async function exportCertificate(home: GpgHome, key: string): Promise<Certificate> {
  const args = ["--armor", "--export-options=export-minimal", "--output=-", "--export", "--", key]
  const judge = (): void => {}
  const bytes = await gpgOutput(home, { args, input: new Uint8Array(0), judge }, MOST_CERTIFICATE, never)
  if (bytes.length === 0) {
    throw new BackupError("not-found", `${key}: no such public key in the keyring`, {
      hint: "see `gpg --list-keys`; GNUPGHOME chooses another keyring",
    })
  }
  return { fingerprint: certificateStructure(bytes, key).fingerprint, bytes: new Uint8Array(bytes) }
}

/** Puts one unprotected secret key into `home`, and returns its fingerprint. */
export async function importSecretKey(home: GpgHome, secretKey: Uint8Array): Promise<string> {
  const imported: string[] = []
  const args = ["--import"]
  await gpgOutput(
    home,
    {
      args,
      input: secretKey,
      agent: true,
      judge(ending) {
        // IMPORT_OK <flags> <fingerprint>, where 16 in the flags means: with its secret part.
        const secret = all(ending, "IMPORT_OK").filter((line) => (Number(line.args[0]) & 16) !== 0)
        imported.push(...new Set(secret.map((line) => line.args[1] ?? "")))
        if (ending.code !== 0 || imported.length !== 1) {
          throw new BackupError("refused", "this is not one secret key that gpg can use", { cause: ending.said })
        }
      },
    },
    MOST_CERTIFICATE,
    never,
  )
  return imported[0] ?? ""
}

/** These are short, and leave nothing half done worth interrupting for. */
const never = new AbortController().signal
