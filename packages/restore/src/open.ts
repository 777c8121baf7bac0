// Opens objects: fetched and checked first, then through the door with a released passphrase, and handed on only when
// the door has ended without a throw. Holds one sealed object while it is fed, and its plaintext.

import { BackupError, isFault } from "@backup-cloud/format"
import { fetchObject } from "./fetch.ts"
import type { Located, RunReader } from "./view.ts"

/**
 * The plaintext of an object, whole. Throws `refused` if no release opens it, `incomplete` if it is not there,
 * `tampered` if it is not what it must be.
 * @param allocate where the plaintext goes, so that room can be used again: the result is the beginning of it
 */
export async function openObject(
  view: RunReader,
  wanted: Located,
  signal: AbortSignal,
  allocate: (length: number) => Buffer = (length) => Buffer.allocUnsafeSlow(length),
): Promise<Buffer> {
  const passphrase = view.secrets.passphraseFor(wanted.run, wanted.base)
  if (passphrase === null) {
    throw new BackupError("refused", `${wanted.name}: no release given opens it`, {
      hint: "ask a key holder with `backup-cloud request`",
    })
  }
  const sealed = await fetchObject(view.reader, wanted, signal)
  // Nothing is compressed within, so the plaintext is shorter than the message.
  const plain = allocate(wanted.record.length)
  let length = 0
  try {
    for await (const piece of view.opener.open(drained(sealed), passphrase, signal)) {
      if (length + piece.length > plain.length)
        throw new BackupError("tampered", `${wanted.name}: opens to more than it holds`)
      plain.set(piece, length)
      length += piece.length
    }
  } catch (error) {
    if (!isFault(error, "tampered")) throw error
    throw new BackupError("tampered", `${wanted.name}: does not open with the released passphrase`, { cause: error })
  }
  return plain.subarray(0, length)
}

/** The pieces, each let go of once it is handed on. */
async function* drained(pieces: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  pieces.reverse()
  for (let piece = pieces.pop(); piece !== undefined; piece = pieces.pop()) yield piece
}
