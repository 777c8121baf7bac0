// Keys of every standing the contract asks about, made fresh: good, expired, revoked, with a signing subkey, version 6.

import type { Certificate } from "@backup-cloud/openpgp"
import { type GeneratedKey, generateKey } from "@backup-cloud/openpgp/keygen"
import * as pgp from "openpgp"
import { bytes } from "./doors.ts"

const DAY = 86_400_000
const longAgo = new Date(Math.floor(Date.now() / 1000) * 1000 - 10 * DAY)
/** When the expired key was good. */
export const whenGood = new Date(longAgo.getTime() + DAY)

const made = (pair: { privateKey: pgp.PrivateKey; publicKey: pgp.PublicKey }): GeneratedKey => ({
  secretKey: bytes(pair.privateKey.armor()),
  certificate: { fingerprint: pair.publicKey.getFingerprint().toUpperCase(), bytes: bytes(pair.publicKey.armor()) },
})
const ed25519 = { type: "ecc", curve: "ed25519Legacy", format: "object" } as const
// Made anew each time: the library writes into what it is given.
const encryption = () => ({ type: "ecc", curve: "curve25519Legacy" }) as const

export async function people() {
  const alice = await generateKey({ userId: "Alice Ärmel <alice@example.org>", kind: "holder" })
  const bob = await generateKey({ userId: "bob", kind: "holder" })
  const source = await generateKey({ userId: "source files", kind: "sign" })
  const old = { ...ed25519, date: longAgo, userIDs: [{ name: "old" }] }
  const expired = await pgp.generateKey({ ...old, keyExpirationTime: (2 * DAY) / 1000, subkeys: [encryption()] })
  const before = await pgp.generateKey({ ...old, subkeys: [encryption()] })
  const revoked = await pgp.revokeKey({ key: before.privateKey, format: "object", date: whenGood })
  const subkeys = await pgp.generateKey({ ...old, subkeys: [{ ...ed25519, sign: true }, encryption()] })
  const six = await pgp.generateKey({
    type: "curve25519",
    userIDs: [{ name: "six" }],
    format: "object",
    config: { v6Keys: true },
  })
  return {
    alice,
    bob,
    source,
    expired: made(expired),
    beforeRevocation: made(before),
    revoked: { ...made(before), certificate: made(revoked).certificate },
    withSubkey: made(subkeys),
    six: made(six),
  }
}
export type People = Awaited<ReturnType<typeof people>>

/** A signature as the library makes it, for what our own signers refuse to make. */
export async function rawSignature(
  key: GeneratedKey,
  message: { binary: Uint8Array } | { text: string },
  date?: Date,
): Promise<Uint8Array> {
  const signingKeys = await pgp.readPrivateKey({ armoredKey: Buffer.from(key.secretKey).toString() })
  const signature: unknown = await pgp.sign({
    message: await pgp.createMessage(message as { binary: Uint8Array }),
    signingKeys,
    detached: true,
    format: "binary",
    ...(date === undefined ? {} : { date }),
  })
  return signature as Uint8Array
}

/** `key`'s certificate with the signing subkey of `other` bound to it, with or without that subkey's back signature. */
export async function adopting(key: GeneratedKey, other: GeneratedKey, consent: boolean): Promise<Certificate> {
  const read = (each: GeneratedKey) => pgp.readPrivateKey({ armoredKey: Buffer.from(each.secretKey).toString() })
  const [own, foreign] = [await read(key), await read(other)]
  const subkey = foreign.subkeys.find((each) => each.bindingSignatures[0]?.embeddedSignature != null)
  if (subkey === undefined) throw new Error("no signing subkey")
  const parts = { key: own.keyPacket, bind: subkey.keyPacket }
  const bind = async (kind: pgp.enums.signature, by: pgp.Key | pgp.Subkey, embedded: pgp.SignaturePacket | null) => {
    const signature = new pgp.SignaturePacket()
    signature.signatureType = kind
    signature.publicKeyAlgorithm = by.keyPacket.algorithm
    signature.hashAlgorithm = pgp.enums.hash.sha256
    if (kind === pgp.enums.signature.subkeyBinding) signature.keyFlags = Uint8Array.of(pgp.enums.keyFlags.signData)
    signature.embeddedSignature = embedded
    // Its declaration leaves out the last argument, which it needs.
    const sign = signature.sign.bind(signature) as (...args: readonly unknown[]) => Promise<void>
    await sign(by.keyPacket, parts, new Date(), false, pgp.config)
    return signature
  }
  const back = consent ? await bind(pgp.enums.signature.keyBinding, subkey, null) : null
  const binding = await bind(pgp.enums.signature.subkeyBinding, own, back)
  const list = new pgp.PacketList<pgp.AnyPacket>()
  list.push(binding)
  const publicSubkey = foreign.toPublic().subkeys.find((each) => each.getKeyID().equals(subkey.getKeyID()))
  const packet = new pgp.PacketList<pgp.AnyPacket>()
  packet.push(publicSubkey?.keyPacket as unknown as pgp.AnyPacket)
  return {
    fingerprint: key.certificate.fingerprint,
    bytes: Buffer.concat([own.toPublic().write(), packet.write(), list.write()]),
  }
}
