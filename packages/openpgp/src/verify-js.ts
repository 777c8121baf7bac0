// Verifying through OpenPGP.js, by the rules that the status lines of gpg stand for. The library judges a key as of the
// time that a signature says it was made; here a key must (but for `expiredKey`) also be good now, as in gpg.

import type { Key, LiteralDataPacket, SignaturePacket, Subkey } from "openpgp"
import type { Certificate, Verifier, VerifyOptions } from "./doors.ts"
import { type Library, library, policy, withAllPackets } from "./js.ts"
import { checkSignatureFile } from "./packets.ts"
import { certificateStructure, type Structure, structureOf } from "./structure.ts"
import { earliestLoss, refuse, signedMessage } from "./verifying.ts"

type Config = Library["config"]
interface Loaded {
  readonly pgp: Library
  readonly config: Config
}

async function load(): Promise<Loaded> {
  const pgp = await library()
  return { pgp, config: { ...pgp.config, ...(await policy(pgp)) } }
}

async function readKey({ pgp, config }: Loaded, structure: Structure, object: string): Promise<Key> {
  try {
    return await pgp.readKey({ binaryKey: Uint8Array.from(structure.binary), config })
  } catch (cause) {
    return refuse(object, "holds no valid certificate", cause)
  }
}

const finite = (time: Date | typeof Infinity | null): Date | null => (time instanceof Date ? time : null)

/** The key that signed: usable now, or (`expiredKey`) usable just before it expired. */
async function signingKey(
  { config }: Loaded,
  key: Key,
  signature: SignaturePacket,
  now: Date,
  options: VerifyOptions,
  object: string,
): Promise<Key | Subkey> {
  const issuer = signature.issuerKeyID
  if (key.getKeys(issuer).length === 0) refuse(object, `was not signed by ${key.getFingerprint().toUpperCase()}`)
  const subkeys = key.getSubkeys(issuer)
  const revoked = await Promise.all([
    key.isRevoked(undefined, undefined, now, config),
    ...subkeys.map((each) => each.isRevoked(undefined as never, undefined as never, now, config)),
  ])
  if (revoked.includes(true)) refuse(object, "the key that signed it is revoked")
  const expiries = await Promise.all([
    key.getExpirationTime(undefined, config),
    ...subkeys.map((each) => each.getExpirationTime(now, config)),
  ])
  const end = Math.min(...expiries.map((time) => finite(time)?.getTime() ?? Infinity))
  const expired = end <= now.getTime()
  if (expired && options.expiredKey !== true) refuse(object, "the key that signed it is expired")
  try {
    return await key.getSigningKey(issuer, expired ? new Date(end - 1000) : now, undefined, config)
  } catch (cause) {
    return refuse(object, "the key is not one that may sign", cause)
  }
}

async function judge(
  loaded: Loaded,
  by: Certificate,
  signature: SignaturePacket,
  data: Uint8Array,
  now: Date,
  options: VerifyOptions,
  object: string,
): Promise<void> {
  const { pgp, config } = loaded
  const key = await readKey(loaded, structureOf(by), `certificate ${by.fingerprint}`)
  const signer = await signingKey(loaded, key, signature, now, options, object)
  const made = signature.created
  if (made === null || made < signer.getCreationTime()) refuse(object, "the signature is older than the key")
  if (signature.getExpirationTime() <= now) refuse(object, "the signature is expired")
  const literal = (await pgp.createMessage({ binary: data, format: "binary" })).packets[0] as LiteralDataPacket
  try {
    // As of its own time: clocks of two machines differ, and when a signature arrived is the policy's business.
    await signature.verify(signer.keyPacket, pgp.enums.signature.binary, literal, made, true, config)
  } catch (cause) {
    refuse(object, "the signature is of something else", cause)
  }
}

/** @param now when keys must be good; the present time unless given */
export function jsVerifier(now: () => Date = () => new Date()): Verifier {
  return {
    async detached(bytes, signature, by, object, signal, options = {}) {
      checkSignatureFile(signature, object)
      signal.throwIfAborted()
      const loaded = await load()
      let packet: SignaturePacket | undefined
      try {
        packet = (await loaded.pgp.readSignature({ binarySignature: signature, config: loaded.config })).packets[0]
      } catch (cause) {
        refuse(object, "the signature cannot be read", cause)
      }
      if (packet === undefined) return refuse(object, "the signature cannot be read")
      await judge(loaded, by, packet, bytes, now(), options, object)
    },

    async message(message, by, object, signal) {
      const binaryMessage = signedMessage(message, object)
      signal.throwIfAborted()
      const loaded = await load()
      const { enums } = loaded.pgp
      let data: Uint8Array
      let packet: SignaturePacket
      try {
        const outer = await loaded.pgp.readMessage({ binaryMessage, config: loaded.config })
        const read = await withAllPackets((await withAllPackets(outer)).unwrapCompressed())
        const tags = read.packets.map((each) => (each.constructor as unknown as { tag: number }).tag)
        const expected = [enums.packet.onePassSignature, enums.packet.literalData, enums.packet.signature]
        if (tags.join() !== expected.join()) refuse(object, "is not one message with one signature")
        data = read.getLiteralData() as Uint8Array
        packet = read.packets[2] as SignaturePacket
      } catch (cause) {
        return refuse(object, "cannot be read", cause)
      }
      const file = new loaded.pgp.PacketList<SignaturePacket>()
      file.push(packet)
      checkSignatureFile(file.write(), object)
      await judge(loaded, by, packet, data, now(), {}, object)
      return data
    },

    async certificate(bytes, object, signal) {
      const structure = certificateStructure(bytes, object)
      signal.throwIfAborted()
      const loaded = await load()
      const key = await readKey(loaded, structure, object)
      return describe(loaded, key, { fingerprint: structure.fingerprint, bytes }, now(), object)
    },
  }
}

async function describe({ config }: Loaded, key: Key, certificate: Certificate, now: Date, object: string) {
  const revoked = await key.isRevoked(undefined, undefined, now, config)
  const expires = finite(await key.getExpirationTime(undefined, config))
  const at = expires !== null && expires <= now ? new Date(expires.getTime() - 1000) : now
  const userIds: string[] = []
  for (const user of key.users) {
    const good =
      revoked ||
      (await user.verify(at, config).then(
        () => true,
        () => false,
      ))
    if (user.userID !== null && good) userIds.push(user.userID.userID)
  }
  if (!revoked && userIds.length === 0) refuse(object, "holds no valid certificate")
  const usable = await key.verifyPrimaryKey(now, undefined, config).then(
    () => true,
    () => false,
  )
  const abilities = usable
    ? await Promise.all(
        [key, ...key.subkeys].map(async (each) => {
          const keyId = each.getKeyID()
          const able = (work: Promise<unknown>): Promise<boolean> =>
            work.then(
              () => true,
              () => false,
            )
          return {
            canEncrypt: await able(key.getEncryptionKey(keyId, now, undefined, config)),
            canSign: await able(key.getSigningKey(keyId, now, undefined, config)),
            expires: each === key ? expires : finite(await (each as Subkey).getExpirationTime(now, config)),
          }
        }),
      )
    : []
  return {
    ...certificate,
    userIds,
    canEncrypt: abilities.some((each) => each.canEncrypt),
    canSign: abilities.some((each) => each.canSign),
    expires: earliestLoss(expires, abilities),
    revoked,
  }
}
