// The catalogue's entry of an item: what the source says of it, and, where it was read, what the reading found.

import type { CatalogueEntry } from "@backup-cloud/format"
import type { Item } from "./classify.ts"
import type { ReadFile } from "./read.ts"

/** @param read `null` if it was not read */
export function toEntry(item: Item, read: ReadFile | null): CatalogueEntry {
  const { entry, kept } = item
  const { type, mode, uid, gid, mtime, path, link } = entry
  const base = { type, mode, uid, gid, mtime, path, link, attributes: entry.attributes }
  if (kept !== null) {
    const streamed = entry.content?.kind === "stream"
    const attributes = streamed ? new Map([...kept.attributes, ...entry.attributes]) : entry.attributes
    return { ...base, attributes, size: kept.size, sha256: kept.sha256, chunks: kept.chunks }
  }
  if (read === null) return { ...base, size: entry.type === "f" ? (entry.size ?? 0) : 0, sha256: null, chunks: [] }
  const { end, chunks } = read
  const attributes = new Map([...entry.attributes, ...read.attributes])
  if (end.error !== null) attributes.set("error", end.error)
  if (end.stat !== null) {
    attributes.set("ctime", end.stat.ctime)
    attributes.set("ino", end.stat.ino)
  }
  const stat = end.stat ?? base
  return {
    ...base,
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    mtime: stat.mtime,
    size: end.size,
    sha256: end.sha256,
    attributes,
    chunks,
  }
}
