// What both ways of verifying share: forms, refusals, and when a certificate stops to be usable.

import { BackupError } from "@backup-cloud/format"
import { binaryOf } from "./armor.ts"
import { TAG, walkPackets } from "./packets.ts"

export function refuse(object: string, why: string, cause?: unknown): never {
  throw new BackupError("refused", `${object}: ${why}`, { cause })
}

/** A signed message's packets, armour removed. One signature over one literal, or a compressed packet around that. */
export function signedMessage(message: Uint8Array, object: string): Uint8Array {
  const binary = binaryOf(message, "MESSAGE", object, "refused")
  const tags = walkPackets(binary, object, "refused").map((packet) => packet.tag)
  const plain = tags.join() === [TAG.onePass, TAG.literal, TAG.signature].join()
  if (!plain && tags.join() !== String(TAG.compressed)) refuse(object, "is not one message with one signature")
  return binary
}

/** A key of a certificate that is usable now. */
export interface UsableKey {
  readonly canEncrypt: boolean
  readonly canSign: boolean
  readonly expires: Date | null
}

/** When the first of the abilities that the keys give now is lost; `null` for never. */
export function earliestLoss(primaryExpires: Date | null, keys: readonly UsableKey[]): Date | null {
  const lost = (able: (key: UsableKey) => boolean): number =>
    Math.max(...keys.filter(able).map((key) => key.expires?.getTime() ?? Infinity))
  const abilities = [lost((key) => key.canEncrypt), lost((key) => key.canSign)].filter((time) => time !== -Infinity)
  const first = Math.min(primaryExpires?.getTime() ?? Infinity, ...abilities)
  return first === Infinity ? null : new Date(first)
}
