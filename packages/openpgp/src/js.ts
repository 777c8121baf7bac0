// OpenPGP.js with every choice made once. It is loaded when first used: a machine with gpg never pays for it.

import { BackupError } from "@backup-cloud/format"
import type { AnyPacket, Key, PartialConfig, PrivateKey } from "openpgp"
import { binaryOf } from "./armor.ts"

export type Library = typeof import("openpgp")

export const library = (): Promise<Library> => import("openpgp")

/** Most bytes of a message that is held in memory: the plaintext of one volume fits. */
export const MOST_MESSAGE = 64 * 1024 * 1024 + 65_536

/**
 * S2K count byte of SKESKs: 1,088 bytes. gpg can't be told a smaller one (it takes 0 for "as slow as possible"), and
 * the passphrases have 256 bits already.
 */
const S2K_COUNT_BYTE = 1

export async function policy(pgp: Library): Promise<PartialConfig> {
  return {
    aeadProtect: false,
    v6Keys: false,
    preferredSymmetricAlgorithm: pgp.enums.symmetric.aes256,
    preferredCompressionAlgorithm: pgp.enums.compression.uncompressed,
    preferredHashAlgorithm: pgp.enums.hash.sha256,
    s2kType: pgp.enums.s2k.iterated,
    s2kIterationCountByte: S2K_COUNT_BYTE,
    allowUnauthenticatedMessages: false,
    allowUnauthenticatedStream: false,
    // As gpg: a key without flags may do what its algorithm can.
    allowMissingKeyFlags: true,
    ignoreUnsupportedPackets: true,
    maxDecompressedMessageSize: MOST_MESSAGE,
    showVersion: false,
    showComment: false,
  }
}

/** Reads an unprotected secret key; throws `usage` for anything else. */
export async function readSecretKey(pgp: Library, secretKey: Uint8Array): Promise<PrivateKey> {
  const binaryKey = binaryOf(secretKey, "PRIVATE KEY BLOCK", "secret key", "usage")
  let key: PrivateKey
  try {
    key = await pgp.readPrivateKey({ binaryKey: Uint8Array.from(binaryKey) })
  } catch (cause) {
    throw new BackupError("usage", "the secret key cannot be read", { cause })
  }
  if (!key.isDecrypted()) {
    throw new BackupError("usage", "the secret key is protected by a passphrase", {
      hint: "use it through gpg, or give a key without one",
    })
  }
  return key
}

/** What the library keeps packets behind the data in until they are asked for; its types do not show it. */
interface PacketSource {
  getReader(): { read(): Promise<{ done: false; value: AnyPacket } | { done: true; value: undefined }> }
}

/** `message` with all of its packets. Throws what the library throws for malformed ones or a wrong order. */
export async function withAllPackets<T extends { packets: AnyPacket[] }>(message: T): Promise<T> {
  const list = message.packets as AnyPacket[] & { stream: PacketSource | null }
  const reader = list.stream?.getReader()
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) list.push(next.value)
  list.stream = null
  return message
}

export const fingerprintOf = (key: Key): string => key.getFingerprint().toUpperCase()
