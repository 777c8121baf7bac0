// What an upload is given so that the object is again what its catalogue attributes say.

import type { PutObjectCommandInput, StorageClass } from "@aws-sdk/client-s3"
import type { CatalogueEntry } from "@backup-cloud/format"
import { HEADERS, META } from "./attributes.ts"

type Upload = Omit<PutObjectCommandInput, "Bucket" | "Key" | "Body">

/** What an upload is given to be the object again. @param storageClass in place of the recorded one */
export function uploadHeaders(entry: CatalogueEntry, storageClass: string | undefined): Upload {
  const { attributes } = entry
  const headers: Upload = {}
  for (const [name, field] of HEADERS) {
    const value = attributes.get(name)
    if (value !== undefined) headers[field] = headerText(value)
  }
  const expires = expiresOf(entry)
  if (expires !== null) headers.Expires = expires
  const tags = attributes.get("s3.tags")
  if (tags !== undefined && tags !== "") headers.Tagging = tags
  const kept = storageClass ?? attributes.get("s3.storage-class")
  if (kept !== undefined) headers.StorageClass = kept as StorageClass
  const meta = [...attributes].filter(([name]) => name.startsWith(META))
  if (meta.length > 0)
    headers.Metadata = Object.fromEntries(meta.map(([name, value]) => [name.slice(META.length), headerText(value)]))
  return headers
}

/** Whether an object has the headers and metadata that an entry tells of. @param found its attributes */
export function isSame(entry: CatalogueEntry, found: ReadonlyMap<string, string>): boolean {
  const names = new Set<string>([...HEADERS.map(([name]) => name), "s3.expires"])
  return [...entry.attributes].every(
    ([name, value]) => !(names.has(name) || name.startsWith(META)) || found.get(name) === value,
  )
}

/** When it expires; `null` if that is not known, or not in a form that can be sent again. */
export function expiresOf(entry: CatalogueEntry): Date | null {
  const time = new Date(entry.attributes.get("s3.expires") ?? "")
  return Number.isNaN(time.getTime()) ? null : time
}

/** As S3 itself shows what is not ASCII (RFC 2047): such bytes as they are would not be signed as they are sent. */
function headerText(bytes: string): string {
  return /^[\x20-\x7e\t]*$/.test(bytes) ? bytes : `=?UTF-8?B?${Buffer.from(bytes, "latin1").toString("base64")}?=`
}
