// What both opening doors hold against a message: whether gpg found it whole, and the two ways in which it may not be.

import { BackupError } from "@backup-cloud/format"
import { type Ending, has } from "./gpg.ts"

export const damaged = (object: string, cause: unknown): BackupError =>
  new BackupError("tampered", `${object} is damaged or was manipulated`, { cause })

/** Throws by how gpg ended, unless the whole message was found intact. `notOpened` makes the error for a wrong key. */
export function judgeOpening(ending: Ending, object: string, notOpened: (cause: unknown) => BackupError): void {
  const whole = has(ending, "DECRYPTION_OKAY") && has(ending, "GOODMDC") && has(ending, "END_DECRYPTION")
  const contradicted = has(ending, "DECRYPTION_FAILED") || has(ending, "BADMDC")
  if (ending.code === 0 && whole && !contradicted) return
  // gpg tells of the cipher once it has a session key: before that, the key was wrong; after it, the data.
  throw has(ending, "DECRYPTION_INFO") ? damaged(object, ending.said) : notOpened(ending.said)
}
