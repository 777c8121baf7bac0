// The form of a certificate file, seen without an OpenPGP program: one certificate, all keys of version 4, nothing
// secret, nothing else. It says nothing about signatures in it: which user ids, subkeys and dates are bound is the
// business of the `verify` door.

import { createHash } from "node:crypto"
import { BackupError } from "@backup-cloud/format"
import { binaryOf } from "./armor.ts"
import type { Certificate } from "./doors.ts"
import { TAG, walkPackets } from "./packets.ts"

export interface Structure {
  /** Of the primary key, 40 upper-case hex digits. */
  readonly fingerprint: string
  /** Long key ids of all keys, the primary first, 16 upper-case hex digits each. */
  readonly keyIds: readonly string[]
  readonly binary: Uint8Array
}

const allowed: ReadonlySet<number> = new Set([
  TAG.publicKey,
  TAG.publicSubkey,
  TAG.userId,
  TAG.userAttribute,
  TAG.signature,
])

/** Reads a certificate file; throws `refused`, naming `object`, unless it holds exactly one certificate. */
export function certificateStructure(bytes: Uint8Array, object: string): Structure {
  const refuse = (why: string): never => {
    throw new BackupError("refused", `${object}: ${why}`, { hint: "export one public key alone into the file" })
  }
  const binary = binaryOf(bytes, "PUBLIC KEY BLOCK", object, "refused")
  const packets = walkPackets(binary, object, "refused")
  if (packets[0]?.tag !== TAG.publicKey) refuse("does not start with a public key")
  const fingerprints: string[] = []
  for (const [i, packet] of packets.entries()) {
    if (!allowed.has(packet.tag)) refuse(`holds a packet of tag ${packet.tag}, which is no part of a certificate`)
    if (i > 0 && packet.tag === TAG.publicKey) refuse("holds more than one certificate")
    if (packet.tag !== TAG.publicKey && packet.tag !== TAG.publicSubkey) continue
    const body = binary.subarray(packet.body, packet.end)
    if (body[0] !== 4) refuse("holds a key that is not of version 4")
    const prefix = Uint8Array.of(0x99, body.length >> 8, body.length & 0xff)
    fingerprints.push(createHash("sha1").update(prefix).update(body).digest("hex").toUpperCase())
  }
  return { fingerprint: fingerprints[0] ?? "", keyIds: fingerprints.map((f) => f.slice(-16)), binary }
}

/** The structure of `certificate`, which must have the fingerprint it says; throws `refused` otherwise. */
export function structureOf(certificate: Certificate): Structure {
  const structure = certificateStructure(certificate.bytes, `certificate ${certificate.fingerprint}`)
  if (structure.fingerprint !== certificate.fingerprint) {
    throw new BackupError("refused", `certificate ${certificate.fingerprint}: the file holds ${structure.fingerprint}`)
  }
  return structure
}
