// How a sealed message must look from outside, and the look at it: which key packets it starts with, and that its data is one
// packet that ends with it. Needs no key and no OpenPGP program, so that it can be done wherever the bytes are read.

import { BackupError } from "@backup-cloud/format"
import type { Certificate } from "./doors.ts"
import { type SealedParts, splitSealed, TAG, walkPackets } from "./packets.ts"
import { structureOf } from "./structure.ts"

/** Whom a message is sealed to; plain data, which can be handed to another thread. */
export interface SealedTo {
  /** For each certificate, in order: the long ids of its keys, 16 upper-case hex digits each. */
  readonly keyIds: readonly (readonly string[])[]
  readonly passphrase: boolean
}

/** Throws unless the key packets are those asked for: a defect of the program that made them, so `unavailable`. */
function checkKeys(keys: SealedParts["keys"], to: SealedTo): void {
  const fail = (why: string): never => {
    throw new BackupError("unavailable", `the sealed message is not as asked for: ${why}`, {
      hint: "this version of the OpenPGP program cannot be used; nothing was stored",
    })
  }
  const pkesks = keys.filter((key) => key.tag === TAG.pkesk)
  const skesks = keys.filter((key) => key.tag === TAG.skesk)
  if (pkesks.length !== to.keyIds.length || skesks.length !== (to.passphrase ? 1 : 0)) fail("its key packets")
  for (const [i, packet] of pkesks.entries()) {
    const keyId = Buffer.from(packet.body.subarray(1, 9)).toString("hex").toUpperCase()
    if (to.keyIds[i]?.includes(keyId) !== true) fail(`key packet ${i + 1} is for ${keyId}`)
  }
  for (const packet of skesks) {
    // AES-256; S2K iterated and salted, SHA-256, smallest count; the session key within. Without certificates gpg uses the
    // key that the passphrase gives for the data itself, and the packet ends there.
    const lengths = to.keyIds.length === 0 ? [13, 46] : [46]
    const [, cipher, s2k, hash] = packet.body
    if (
      cipher !== 9 ||
      s2k !== 3 ||
      hash !== 8 ||
      (packet.body[12] ?? 255) > 1 ||
      !lengths.includes(packet.body.length)
    ) {
      fail("its passphrase packet")
    }
  }
}

/** Throws `refused`, naming `object`, unless these packets are one PKESK for each of the certificates, in any order. */
export function checkPkesks(pkesks: Uint8Array, certificates: readonly Certificate[], object: string): void {
  const left = certificates.map((certificate) => structureOf(certificate).keyIds)
  const fail = (why: string): never => {
    throw new BackupError("refused", `${object}: ${why}`)
  }
  for (const packet of walkPackets(pkesks, object, "refused")) {
    const [version, ...id] = pkesks.subarray(packet.body, packet.body + 9)
    const keyId = Buffer.from(id).toString("hex").toUpperCase()
    if (packet.tag !== TAG.pkesk || version !== 3) fail("does not start with key packets alone")
    const found = left.findIndex((keyIds) => keyIds.includes(keyId))
    if (found < 0) fail(`is sealed to ${keyId}, which is nobody that it should be sealed to, or twice`)
    left.splice(found, 1)
  }
  if (left.length > 0) fail(`is not sealed to ${left[0]?.[0] ?? ""}`)
}

/**
 * The message, if it is as asked for; throws before the first piece if not, and `tampered` where it does not end well.
 * A piece is valid until the next is asked for.
 */
export async function* checkSealed(message: AsyncIterable<Uint8Array>, to: SealedTo): AsyncGenerator<Uint8Array> {
  const parts = await splitSealed(message, "the sealed message")
  try {
    checkKeys(parts.keys, to)
    let head: readonly Uint8Array[] = parts.keys.map((key) => key.bytes)
    for await (const piece of parts.data) {
      yield head.length === 0 ? piece : Buffer.concat([...head, piece])
      head = []
    }
  } finally {
    await parts.close()
  }
}
