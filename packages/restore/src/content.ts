// One file's content as a stream, for a pipe. A piece goes out once the object it lies in was verified; that the whole is
// what was backed up is known only at the end, so the consumer must be aborted when this throws.

import { createHash } from "node:crypto"
import { BackupError, type CatalogueEntry, fromByteString, unpackVolume } from "@backup-cloud/format"
import { openObject } from "./open.ts"
import { locate, type RunReader } from "./view.ts"

/**
 * The content of a regular file in pieces. Throws `tampered` at the end if its digest is not the entry's, `incomplete`
 * if the run does not hold it, `usage` for what is no regular file.
 */
export async function* fileContent(
  view: RunReader,
  entry: CatalogueEntry,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const path = fromByteString(entry.path)
  if (entry.type !== "f") throw new BackupError("usage", `${path} is no regular file, so it has no content`)
  if (entry.sha256 === null) throw new BackupError("incomplete", `${path} could not be read when the run was made`)
  const hash = createHash("sha256")
  const open = { key: "", members: new Map<string, Uint8Array>() }
  for (const chunk of entry.chunks) {
    const key = `${chunk.run} ${chunk.volume}`
    if (open.key !== key) {
      const located = locate(view, "volume", chunk.run, chunk.volume)
      const members = await unpackVolume(await openObject(view, located, signal), located.name)
      open.key = key
      open.members = new Map(members.map((member) => [member.id, member.bytes]))
    }
    const bytes = open.members.get(chunk.id)
    if (bytes?.length !== chunk.length) throw new BackupError("tampered", `${path}: ${key} lacks a chunk of it`)
    hash.update(bytes)
    yield bytes
  }
  if (hash.digest("hex") !== entry.sha256) throw new BackupError("tampered", `${path} is not what was backed up`)
}
