// Fetches one object whole and believes nothing of it before its length and SHA-256 are what a signed receipt says. In a
// store with versions, an overwritten or hidden object is found under the version that has the signed digest.

import { createHash, hash } from "node:crypto"
import { BackupError, isFault } from "@backup-cloud/format"
import type { ArchiveReader, ReadOptions } from "@backup-cloud/store"
import type { Hasher } from "./hasher.ts"
import type { Located } from "./view.ts"

/**
 * Reads the object into `into`, which has its length. Throws `incomplete` if it is not there, `tampered` if nothing stored
 * is what was signed.
 */
export async function fetchObject(
  reader: ArchiveReader,
  wanted: Located,
  into: Buffer,
  hasher: Hasher | null,
  signal: AbortSignal,
): Promise<void> {
  const current = await attempt(reader, wanted, into, hasher, {}, signal)
  if (current === "signed") return
  let there = current === "other"
  for (const version of await versions(reader, wanted.name, signal)) {
    if (version.deleted || version.version === "") continue
    there = true
    if (version.size !== wanted.record.length) continue
    if ((await attempt(reader, wanted, into, hasher, { version: version.version }, signal)) === "signed") return
  }
  if (!there) {
    throw new BackupError("incomplete", `${wanted.name}: is missing, and a signed receipt names it`, {
      hint: "look for it on another copy of the archive; --salvage restores what does not need it",
    })
  }
  throw new BackupError("tampered", `${wanted.name}: is not what the source signed`, {
    hint: "look for it on another copy of the archive; --salvage restores what does not need it",
  })
}

async function versions(reader: ArchiveReader, name: string, signal: AbortSignal) {
  try {
    return await reader.versions(name, signal)
  } catch (error) {
    // Without the right to see versions there are none to try.
    if (isFault(error, "refused")) return []
    throw error
  }
}

async function attempt(
  reader: ArchiveReader,
  { name, record }: Located,
  into: Buffer,
  hasher: Hasher | null,
  options: ReadOptions,
  signal: AbortSignal,
): Promise<"signed" | "absent" | "other"> {
  let length = 0
  try {
    for await (const piece of reader.read(name, signal, options)) {
      if (length + piece.length > record.length) return "other"
      into.set(piece, length)
      length += piece.length
    }
  } catch (error) {
    if (isFault(error, "not-found")) return "absent"
    throw error
  }
  if (length !== record.length) return "other"
  const sha256 = await (hasher?.digest(into) ?? hash("sha256", into))
  return sha256 === record.sha256 ? "signed" : "other"
}

/**
 * A small object whole: the stored version with this digest, or the current one for `null`. Throws `not-found` if there
 * is none at all, `tampered` if none has the digest.
 */
export async function readSigned(
  reader: ArchiveReader,
  name: string,
  sha256: string | null,
  signal: AbortSignal,
): Promise<Uint8Array> {
  let there = false
  for await (const options of everyVersion(reader, name, sha256 !== null, signal)) {
    const pieces: Uint8Array[] = []
    try {
      for await (const piece of reader.read(name, signal, options)) pieces.push(Uint8Array.from(piece))
    } catch (error) {
      if (isFault(error, "not-found")) continue
      throw error
    }
    there = true
    const bytes = Buffer.concat(pieces)
    if (sha256 === null || createHash("sha256").update(bytes).digest("hex") === sha256) return bytes
  }
  throw there
    ? new BackupError("tampered", `${name}: is not what the source signed`)
    : new BackupError("not-found", `${name}: is not there`)
}

async function* everyVersion(
  reader: ArchiveReader,
  name: string,
  older: boolean,
  signal: AbortSignal,
): AsyncGenerator<ReadOptions, void, undefined> {
  yield {}
  if (!older) return
  for (const { version, deleted } of await versions(reader, name, signal))
    if (!deleted && version !== "") yield { version }
}
