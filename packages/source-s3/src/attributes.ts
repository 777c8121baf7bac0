// What S3 knows of an object besides its content, as catalogue attributes (upload.ts is the way back). All names begin with
// `s3.`; values are byte strings. docs/sources/s3.md lists them.

import type { HeadObjectCommandOutput, Tag } from "@aws-sdk/client-s3"
import { toByteString } from "@backup-cloud/format"
import type { Row } from "./table.ts"

export const HEADERS = [
  ["s3.cache-control", "CacheControl"],
  ["s3.content-disposition", "ContentDisposition"],
  ["s3.content-encoding", "ContentEncoding"],
  ["s3.content-language", "ContentLanguage"],
  ["s3.content-type", "ContentType"],
  ["s3.website-redirect", "WebsiteRedirectLocation"],
] as const
const CHECKSUMS = [
  ["crc32", "ChecksumCRC32"],
  ["crc32c", "ChecksumCRC32C"],
  ["crc64nvme", "ChecksumCRC64NVME"],
  ["md5", "ChecksumMD5"],
  ["sha1", "ChecksumSHA1"],
  ["sha256", "ChecksumSHA256"],
  ["sha512", "ChecksumSHA512"],
  ["xxhash3", "ChecksumXXHASH3"],
  ["xxhash64", "ChecksumXXHASH64"],
  ["xxhash128", "ChecksumXXHASH128"],
] as const
export const META = "s3.meta."

/** What the list tells. */
export function listedAttributes(row: Row): Map<string, string> {
  const attributes = new Map<string, string>()
  const add = (name: string, value: string): void => {
    if (value !== "") attributes.set(name, value)
  }
  add("s3.etag", row.etag)
  add("s3.storage-class", row.storageClass)
  add("s3.version", row.version)
  if (row.old) attributes.set("s3.old", "1")
  if (row.path !== row.key) attributes.set("s3.key", row.key)
  return attributes
}

/** What the object's own headers tell. */
export function openedAttributes(head: HeadObjectCommandOutput): Map<string, string> {
  const attributes = new Map<string, string>()
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") attributes.set(name, bytesOf(value))
  }
  for (const [name, field] of HEADERS) add(name, head[field])
  add("s3.expires", head.ExpiresString)
  add("s3.version", head.VersionId === "null" ? undefined : head.VersionId)
  add("s3.sse", head.ServerSideEncryption)
  add("s3.sse-key", head.SSEKMSKeyId)
  if (head.BucketKeyEnabled === true) attributes.set("s3.sse-bucket-key", "1")
  for (const [name, field] of CHECKSUMS) add(`s3.checksum.${name}`, head[field])
  add("s3.checksum-type", head.ChecksumType)
  // Metadata that cannot be a header: S3 tells only how much of it there is.
  if ((head.MissingMeta ?? 0) > 0) attributes.set("s3.missing-meta", String(head.MissingMeta))
  for (const [name, value] of Object.entries(head.Metadata ?? {})) attributes.set(META + bytesOf(name), bytesOf(value))
  return attributes
}

/** As the header of an upload has them. */
export function tagsAttribute(tags: readonly Tag[]): string {
  return tags.map(({ Key = "", Value = "" }) => `${encodeURIComponent(Key)}=${encodeURIComponent(Value)}`).join("&")
}

/** Header values come with a character for each byte; anything else is text. */
function bytesOf(value: string): string {
  return /^[\0-\xff]*$/.test(value) ? value : toByteString(value)
}
