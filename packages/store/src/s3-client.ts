// The client of S3 and where in a bucket an archive lies. The SDK is loaded by the first call, since it costs more time than
// most commands.

import type * as Sdk from "@aws-sdk/client-s3"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface S3Options {
  readonly bucket: string
  /** Folder of the archive in the bucket; slashes around it do not count, `""` is the bucket itself. */
  readonly prefix: string
  /** `https://host:port` of a server other than AWS; buckets are then part of the path. */
  readonly endpoint?: string
  /** As AWS names it; where neither it nor an endpoint is given, what the machine's AWS configuration says. */
  readonly region?: string
  /** Where they are not given, what the machine's AWS configuration or role says. */
  readonly credentials?: Credentials
  /** Milliseconds that a connection may be idle before the request counts as unanswered; 60,000 unless given. */
  readonly requestTimeout?: number
  /**
   * For servers that refuse or ignore conditional creates: look first, then create. Of two at the same moment the later
   * one overwrites the earlier, and both are told that they succeeded. `probe` still tells what the server can do.
   */
  readonly unconditional?: boolean
}

/** What each function of the S3 store needs: the client, its module, and where in the bucket the archive lies. */
export interface Bucket {
  readonly sdk: typeof Sdk
  readonly client: Sdk.S3Client
  readonly bucket: string
  /** Key of a name or of the beginning of one. */
  readonly key: (name: string) => string
  /** Name of a key that `key` made or a list under it gave. */
  readonly nameOf: (key: string) => string
}

/** How keys of the bucket and names of the archive belong together. */
export function keysOf({ prefix }: Pick<S3Options, "prefix">): Pick<Bucket, "key" | "nameOf"> {
  const parts = prefix.split("/").filter((part) => part !== "")
  const top = parts.map((part) => `${part}/`).join("")
  return { key: (name) => top + name, nameOf: (found) => found.slice(top.length) }
}

/** What the client of any service of AWS takes. */
export function clientSettings({
  region,
  endpoint,
  credentials,
}: Pick<S3Options, "region" | "endpoint" | "credentials">): {
  readonly region?: string
  readonly endpoint?: string
  readonly credentials?: Credentials
} {
  const chosen = region ?? (endpoint === undefined ? undefined : "us-east-1")
  return {
    ...(chosen === undefined ? {} : { region: chosen }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
  }
}

const nothing = (): void => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

export async function connect(options: S3Options): Promise<Bucket> {
  const sdk = await import("@aws-sdk/client-s3")
  const client = new sdk.S3Client({
    ...clientSettings(options),
    ...(options.endpoint === undefined ? {} : { forcePathStyle: true }),
    // Its own choice, CRC32 in a trailer, is refused or stored as data by several other servers.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: 1,
    // It would tell the console that it does not try a stream again; nor should it.
    logger: silent,
    requestHandler: { connectionTimeout: 10_000, socketTimeout: options.requestTimeout ?? 60_000 },
  })
  return { sdk, client, bucket: options.bucket, ...keysOf(options) }
}
