// The content of one file into a pipe. Each piece comes out of an object that was verified whole; that the file is what
// the catalogue says is known only at the end, so a consumer must undo what it did if the iteration throws.

import { createHash } from "node:crypto"
import { BackupError, type CatalogueEntry, escapeControl, fromByteString, unpackVolume } from "@backup-cloud/format"
import { openObject } from "./open.ts"
import { locate, type RunReader } from "./view.ts"

/**
 * @param entry with its chunks, as `catalogueEntries` gives it
 * Throws `tampered` at the end if the digest is not the entry's; `usage` for an entry without content.
 */
export async function* fileContent(
  view: RunReader,
  entry: CatalogueEntry,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const path = escapeControl(fromByteString(entry.path))
  if (entry.type !== "f" || entry.sha256 === null)
    throw new BackupError("usage", `${path}: has no content in the backup`)
  const hash = createHash("sha256")
  let open = { key: "", name: "", chunks: new Map<string, Buffer>() }
  for (const { id, length, run, volume } of entry.chunks) {
    const key = `${run} ${volume}`
    if (open.key !== key) {
      const located = locate(view, "volume", run, volume)
      open = { key, name: located.name, chunks: new Map() }
      const members = await unpackVolume(await openObject(view, located, signal), located.name)
      open.chunks = new Map(members.map((m) => [m.id, m.bytes]))
    }
    const bytes = open.chunks.get(id)
    if (bytes?.length !== length)
      throw new BackupError("tampered", `${open.name}: does not hold chunk ${id} as the catalogue has it`)
    hash.update(bytes)
    yield bytes
  }
  if (hash.digest("hex") !== entry.sha256)
    throw new BackupError("tampered", `${path}: its content is not what the catalogue says`)
}
