// The door that signs: with a person's key where gpg finds it (keyring, agent, smartcard), or with a source's generated
// key. Every signature that leaves has the one form that counts (docs/format.md, section 3). It can't verify.

import { randomBytes } from "node:crypto"
import { BackupError } from "@backup-cloud/format"
import type { PublicKey } from "openpgp"
import type { Certificate, Signer } from "./doors.ts"
import { all, type Ending, EXTRA, gpgOutput, has } from "./gpg.ts"
import type { GpgHome } from "./home.ts"
import { fingerprintOf, library, MOST_MESSAGE, policy, readSecretKey } from "./js.ts"
import { importSecretKey } from "./keygen.ts"
import { checkSignatureFile, TAG, walkPackets } from "./packets.ts"
import { structureOf } from "./structure.ts"

const MOST_SIGNATURE = 16_384
const strongHashes: readonly (string | undefined)[] = ["8", "9", "10"]

function judgeSigning(fingerprint: string, ending: Ending): void {
  if (has(ending, "INV_SGNR")) {
    throw new BackupError("refused", `there is no usable private key of ${fingerprint} to sign with`, {
      cause: ending.said,
      hint: "give the keyring that holds it, or insert the card; see `gpg --list-secret-keys`",
    })
  }
  const refused = all(ending, "INV_RECP")[0]
  if (refused !== undefined) {
    throw new BackupError("refused", "cannot encrypt to the certificate: no key in it can be used", {
      cause: ending.said,
    })
  }
  // SIG_CREATED <type> <pk algorithm> <hash> <class> <time> <fingerprint>
  const created = all(ending, "SIG_CREATED")
  const [, , hash, kind] = created[0]?.args ?? []
  if (ending.code !== 0 || created.length !== 1) {
    throw new BackupError("unavailable", `gpg could not sign with ${fingerprint}`, {
      cause: ending.said,
      hint: "check that the agent, the card and the PIN entry work: `gpg --clearsign` asks the same of them",
    })
  }
  if (kind !== "00" || !strongHashes.includes(hash)) {
    throw new BackupError("unavailable", "gpg signed in another way than asked for", { cause: ending.said })
  }
}

/** Throws unless `message` consists of these packets: a defect of the program that made it. */
function checkTags(message: Uint8Array, tags: readonly number[]): Uint8Array {
  const found = walkPackets(message, "the signed message").map((packet) => packet.tag)
  if (found.join() !== tags.join()) {
    throw new BackupError("unavailable", `the signed message has packets ${found.join()} instead of ${tags.join()}`)
  }
  return message
}
const signedTags = [TAG.onePass, TAG.literal, TAG.signature]
const sealedTags = [TAG.pkesk, TAG.sealedData]

/** @param home a person's or a temporary one. @param fingerprint of the primary key */
export function gpgSigner(home: GpgHome, fingerprint: string): Signer {
  const judge = (ending: Ending): void => {
    judgeSigning(fingerprint, ending)
  }
  const signing = ["--rfc4880", "--digest-algo=SHA256", "--compress-algo=none", "--no-armor", "--output=-"]
  signing.push(`--local-user=${fingerprint}`)
  return {
    fingerprint,
    async detached(bytes, signal) {
      const run = { args: [...signing, "--detach-sign"], input: bytes, agent: true, judge }
      const signature = await gpgOutput(home, run, MOST_SIGNATURE, signal)
      checkSignatureFile(signature, `the signature by ${fingerprint}`)
      return signature
    },
    async message(bytes, to, signal) {
      if (to === null) {
        const run = { args: [...signing, "--sign"], input: bytes, agent: true, judge }
        return checkTags(await gpgOutput(home, run, bytes.length * 2 + MOST_SIGNATURE, signal), signedTags)
      }
      structureOf(to)
      const args = [
        ...signing,
        "--cipher-algo=AES256",
        "--no-encrypt-to",
        `--recipient-file=-&${EXTRA}`,
        "--sign",
        "--encrypt",
      ]
      const run = { args, input: bytes, extra: [to.bytes], agent: true, judge }
      return checkTags(await gpgOutput(home, run, bytes.length * 2 + MOST_SIGNATURE, signal), sealedTags)
    },
  }
}

/** A source's generated key in gpg. @param home a temporary one. @param secretKey unprotected, as `generateKey` makes it */
export async function importedGpgSigner(home: GpgHome, secretKey: Uint8Array): Promise<Signer> {
  if (!home.temporary) throw new BackupError("usage", "a source's key is not imported into a person's keyring")
  return gpgSigner(home, await importSecretKey(home, secretKey))
}

/** A source's generated key in OpenPGP.js. @param secretKey unprotected, as `generateKey` makes it */
export async function jsSigner(secretKey: Uint8Array): Promise<Signer> {
  const pgp = await library()
  const config = await policy(pgp)
  const signingKeys = await readSecretKey(pgp, secretKey)
  const fingerprint = fingerprintOf(signingKeys)
  /** The library gives bytes for bytes, which its types do not say. */
  const bytesOf = async (made: Promise<unknown>): Promise<Uint8Array> => {
    try {
      return (await made) as Uint8Array
    } catch (cause) {
      throw new BackupError("refused", `OpenPGP.js could not sign with ${fingerprint}`, { cause })
    }
  }
  return {
    fingerprint,
    async detached(bytes, signal) {
      signal.throwIfAborted()
      const message = await pgp.createMessage({ binary: bytes, format: "binary" })
      const signature = await bytesOf(pgp.sign({ message, signingKeys, detached: true, format: "binary", config }))
      checkSignatureFile(signature, `the signature by ${fingerprint}`)
      return signature
    },
    async message(bytes, to, signal) {
      signal.throwIfAborted()
      if (bytes.length > MOST_MESSAGE) throw new BackupError("usage", "too long for a signed message")
      const message = await pgp.createMessage({ binary: bytes, format: "binary" })
      if (to === null) {
        return checkTags(await bytesOf(pgp.sign({ message, signingKeys, format: "binary", config })), signedTags)
      }
      const sessionKey = { data: randomBytes(32), algorithm: "aes256" } as const
      const encryptionKeys = await recipient(to)
      const options = { message, signingKeys, encryptionKeys, sessionKey, format: "binary", config } as const
      return checkTags(await bytesOf(pgp.encrypt(options)), sealedTags)
    },
  }
  async function recipient(to: Certificate): Promise<PublicKey> {
    const key = await pgp.readKey({ binaryKey: Uint8Array.from(structureOf(to).binary) })
    await key.getEncryptionKey().catch((cause: unknown) => {
      throw new BackupError("refused", `cannot encrypt to ${to.fingerprint}`, { cause })
    })
    return key.toPublic()
  }
}
