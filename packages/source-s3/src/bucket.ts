// The bucket and prefix that a source reads or a target writes, and the client for it. The SDK is loaded by the first call,
// since it costs more time than most commands.

import type * as Sdk from "@aws-sdk/client-s3"
import { BackupError, toByteString } from "@backup-cloud/format"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface S3Place {
  readonly bucket: string
  /** Folder in the bucket; slashes around it do not count, `""` is the bucket itself. */
  readonly prefix: string
  /** `https://host:port` of a server other than AWS; buckets are then part of the path. */
  readonly endpoint?: string
  /** As AWS names it; where neither it nor an endpoint is given, what the machine's AWS configuration says. */
  readonly region?: string
  /** Where they are not given, what the machine's AWS configuration or role says. */
  readonly credentials?: Credentials
  /** Milliseconds that a connection may be idle before the request counts as unanswered; 60,000 unless given. */
  readonly requestTimeout?: number
}

export interface Bucket {
  readonly sdk: typeof Sdk
  readonly client: Sdk.S3Client
  readonly name: string
  /** `""`, or the prefix with a slash at its end, as text. */
  readonly top: string
  /** `s3://bucket/prefix`, for people. */
  readonly url: string
}

/** Times that a request is sent before it counts as failed: the SDK waits longer each time, half a minute and more in all. */
const ATTEMPTS = 10

/** Throws `usage` for a place without a bucket. */
export function checkPlace({ bucket }: S3Place): void {
  if (bucket === "") throw new BackupError("usage", "the name of the bucket is missing", { hint: "s3://BUCKET/PREFIX" })
}

export async function openBucket(place: S3Place): Promise<Bucket> {
  const sdk = await import("@aws-sdk/client-s3")
  const region = place.region ?? (place.endpoint === undefined ? undefined : "us-east-1")
  const client = new sdk.S3Client({
    ...(region === undefined ? {} : { region }),
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint, forcePathStyle: true }),
    ...(place.credentials === undefined ? {} : { credentials: { ...place.credentials } }),
    // Its own choice, CRC32 in a trailer, is refused or stored as data by several other servers.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: ATTEMPTS,
    // Its adaptive mode falls to a request in two seconds where there were few before, and takes long to recover.
    retryMode: "standard",
    logger: silent,
    requestHandler: { connectionTimeout: 10_000, socketTimeout: place.requestTimeout ?? 60_000 },
  })
  const parts = place.prefix.split("/").filter((part) => part !== "")
  const top = parts.map((part) => `${part}/`).join("")
  return { sdk, client, name: place.bucket, top, url: `s3://${place.bucket}/${top.slice(0, -1)}` }
}

/** The key in the bucket. @param key below the prefix, a byte string */
export function fullKey({ top }: Bucket, key: string): string {
  return top + Buffer.from(key, "latin1").toString("utf8")
}

/** The key below the prefix, a byte string. @param full as a list gives it, `url`-encoded or not */
export function keyBelow({ top }: Bucket, full: string, encoded: boolean): string {
  const bytes = encoded ? decoded(full) : toByteString(full)
  return bytes.slice(Buffer.byteLength(top))
}

/** A byte string of what a list in `EncodingType=url` says: a space is `+` or `%20`. */
function decoded(text: string): string {
  return toByteString(text.replaceAll("+", " ")).replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
}

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }
