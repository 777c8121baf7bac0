// Reading small objects whole, and finding the stored version that fits where the current one does not. An attacker with
// an account's rights can overwrite an object or hide it behind a delete marker, but not remove a locked version.

import { createHash } from "node:crypto"
import { BackupError, isFault } from "@backup-cloud/format"
import type { ArchiveReader, ReadOptions } from "@backup-cloud/store"

/** Most bytes of an object that is read whole: a receipt of 262,144 volumes has 30 MB. */
const MOST = 256 * 1024 * 1024

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

/** The whole object, or `null` if it is absent. */
export async function readObject(
  reader: ArchiveReader,
  name: string,
  signal: AbortSignal,
  options: ReadOptions = {},
): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = []
  let length = 0
  try {
    for await (const piece of reader.read(name, signal, options)) {
      pieces.push(Uint8Array.from(piece))
      length += piece.length
      if (length > MOST) throw new BackupError("tampered", `${name}: is longer than anything of its kind`)
    }
  } catch (error) {
    if (isFault(error, "not-found")) return null
    throw error
  }
  return Buffer.concat(pieces, length)
}

export interface Candidate {
  readonly bytes: Uint8Array
  /** When it arrived; `null` where only the current object was asked for and no listing was made. */
  readonly arrived: Date | null
  /** `null` for the current object, else the store's name for the version. */
  readonly version: string | null
}

/** The current object, then every other stored version of it, newest first; nothing if there is none. */
export async function* candidates(reader: ArchiveReader, name: string, signal: AbortSignal): AsyncGenerator<Candidate> {
  const current = await readObject(reader, name, signal)
  if (current !== null) yield { bytes: current, arrived: null, version: null }
  for (const { version, arrived } of await otherVersions(reader, name, signal)) {
    const bytes = await readObject(reader, name, signal, { version })
    if (bytes !== null) yield { bytes, arrived, version }
  }
}

/** Versions with bytes that can be asked for by name. None where the caller has no right to see versions. */
async function otherVersions(
  reader: ArchiveReader,
  name: string,
  signal: AbortSignal,
): Promise<readonly { readonly version: string; readonly arrived: Date; readonly size: number }[]> {
  try {
    const all = await reader.versions(name, signal)
    return all.filter((each) => !each.deleted && each.version !== "")
  } catch (error) {
    if (isFault(error, "refused")) return []
    throw error
  }
}

/** SHA-256 (hex) and length of an object, read once and never held. */
export async function hashObject(
  reader: ArchiveReader,
  name: string,
  signal: AbortSignal,
  options: ReadOptions = {},
): Promise<{ readonly length: number; readonly sha256: string }> {
  const hash = createHash("sha256")
  let length = 0
  for await (const piece of reader.read(name, signal, options)) {
    hash.update(piece)
    length += piece.length
  }
  return { length, sha256: hash.digest("hex") }
}

/** The stored version of `name` that has these bytes, other than the current one; `null` if none has. */
export async function intactVersion(
  reader: ArchiveReader,
  name: string,
  wanted: { readonly length: number; readonly sha256: string },
  signal: AbortSignal,
): Promise<string | null> {
  for (const { version, size } of await otherVersions(reader, name, signal)) {
    if (size !== wanted.length) continue
    const found = await hashObject(reader, name, signal, { version })
    if (found.sha256 === wanted.sha256) return version
  }
  return null
}
