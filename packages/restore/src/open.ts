// Opens objects: fetched and checked first, then through the door with a released passphrase, and handed on only when
// the door has ended without a throw. Holds one sealed object while it is fed, and its plaintext.

import { BackupError, isFault, step } from "@backup-cloud/format"
import { fetchObject } from "./fetch.ts"
import type { Hasher } from "./hasher.ts"
import { Room } from "./room.ts"
import type { Located, RunReader } from "./view.ts"

/** Memory for an object and for its plaintext, and who hashes objects; `null`: this thread. */
export interface Rooms {
  readonly sealed: Room
  readonly plain: Room
  readonly hasher: Hasher | null
}

/**
 * The plaintext of an object, whole. Throws `refused` if no release opens it, `incomplete` if it is not there,
 * `tampered` if it is not what it must be.
 * @param rooms where it lies meanwhile; what is returned is of `rooms.plain`, and is to be given back
 */
export async function openObject(
  view: RunReader,
  wanted: Located,
  signal: AbortSignal,
  rooms: Rooms = { sealed: new Room(1), plain: new Room(1), hasher: null },
): Promise<Buffer> {
  const passphrase = view.secrets.passphraseFor(wanted.run, wanted.base)
  if (passphrase === null) {
    throw new BackupError("refused", `${wanted.name}: no release given opens it`, {
      hint: "ask a key holder with `backup-cloud request`",
    })
  }
  return await step("open object", { object: wanted.name, bytes: wanted.record.length }, () =>
    fetchAndOpen(view, wanted, passphrase, signal, rooms),
  )
}

async function fetchAndOpen(
  view: RunReader,
  wanted: Located,
  passphrase: string,
  signal: AbortSignal,
  rooms: Rooms,
): Promise<Buffer> {
  const { length } = wanted.record
  const sealed = await rooms.sealed.take(length)
  try {
    await fetchObject(view.reader, wanted, sealed, rooms.hasher, signal)
    // Nothing is compressed within, so the plaintext is shorter than the message.
    const plain = await rooms.plain.take(length)
    try {
      return plain.subarray(0, await open(view, wanted, sealed, passphrase, plain, signal))
    } catch (error) {
      rooms.plain.give(plain)
      throw error
    }
  } finally {
    rooms.sealed.give(sealed)
  }
}

/** Opens `sealed` into `plain`; how many bytes there are of it. */
async function open(
  { opener }: RunReader,
  { name }: Located,
  sealed: Buffer,
  passphrase: string,
  plain: Buffer,
  signal: AbortSignal,
): Promise<number> {
  const message = (async function* () {
    yield sealed
  })()
  let length = 0
  try {
    for await (const piece of opener.open(message, passphrase, signal)) {
      if (length + piece.length > plain.length)
        throw new BackupError("tampered", `${name}: opens to more than it holds`)
      plain.set(piece, length)
      length += piece.length
    }
  } catch (error) {
    if (!isFault(error, "tampered")) throw error
    throw new BackupError("tampered", `${name}: does not open with the released passphrase`, { cause: error })
  }
  return length
}
