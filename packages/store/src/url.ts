// How people name an archive, and the store that a name opens:
//
//   /path and file:///path                            a directory, which must exist
//   s3://bucket/prefix?endpoint=https://…&region=…    a bucket; with an endpoint, of a server other than AWS
//                                                     &create=unconditional for a server without conditional creates
//   ssm:/base/path?endpoint=…&region=…                the bucket and path that two SSM parameters below /base/path name
//
// Opening does not yet touch a directory or bucket. No URL holds a secret: credentials come from the environment given
// here or, where that has none, from the machine's AWS configuration.

import { fileURLToPath } from "node:url"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { awsFault } from "./aws-faults.ts"
import { directoryStore } from "./directory.ts"
import type { Store } from "./ports.ts"
import { s3Store } from "./s3.ts"
import { type Credentials, clientSettings, type S3Options } from "./s3-client.ts"

/** Environment variables by name. Used: AWS_ACCESS_KEY_ID and its companions, AWS_REGION, AWS_ENDPOINT_URL. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Base of the SSM parameters where `ssm:` names none, as in the system that this one continues. */
const DEFAULT_BASE = "/backup_cloud/base_defs"

const FORMS = "use /path, file:///path, s3://bucket/prefix or ssm:/base/path"

/** The store that `url` names. Throws `usage` for other forms; reading SSM parameters throws what a store throws. */
export async function openStore(
  url: string,
  env: Environment,
  signal: AbortSignal = new AbortController().signal,
): Promise<Store> {
  const directory = directoryOf(url)
  if (directory !== null) return directoryStore(directory)
  return s3Store(await s3Place(url, env, signal))
}

/** The bucket and path that `url` names, which is none of a directory. Throws as `openStore`. */
export async function s3Place(url: string, env: Environment, signal: AbortSignal): Promise<S3Options> {
  const parsed = parse(url)
  const access = accessOf(parsed, env, url)
  if (parsed.protocol === "s3:") {
    return { bucket: bucketName(parsed.hostname, url), prefix: decodeURIComponent(parsed.pathname), ...access }
  }
  if (parsed.protocol !== "ssm:" || parsed.host !== "") throw badUrl(url)
  const parts = decodeURIComponent(parsed.pathname)
    .split("/")
    .filter((part) => part !== "")
  const base = parts.length === 0 ? DEFAULT_BASE : `/${parts.join("/")}`
  const { bucket, path } = await readParameters(base, access, signal)
  return { bucket: bucketName(bucket, `${base}/s3_bucket`), prefix: path, ...access }
}

/** The directory that `url` names; `null` if it names a store of another kind. */
export function directoryOf(url: string): string | null {
  if (url.startsWith("/")) return url
  if (!url.startsWith("file:")) return null
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw badUrl(url, cause)
  }
}

export type Access = Pick<S3Options, "endpoint" | "region" | "credentials" | "unconditional">

/** How AWS, or a server that speaks its protocol, is reached. Throws `usage` for parameters of the URL that mean nothing. */
export function accessOf(parsed: URL, env: Environment, url: string): Access {
  for (const name of parsed.searchParams.keys()) {
    if (name !== "endpoint" && name !== "region" && name !== "create") throw badUrl(url)
  }
  const create = parsed.searchParams.get("create")
  if (create !== null && create !== "unconditional") throw badUrl(url)
  const endpoint = parsed.searchParams.get("endpoint") ?? env["AWS_ENDPOINT_URL"]
  const region = parsed.searchParams.get("region") ?? env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"]
  const credentials = credentialsOf(env)
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === null ? {} : { credentials }),
    ...(create === null ? {} : { unconditional: true }),
  }
}

function credentialsOf(env: Environment): Credentials | null {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = env
  if (accessKeyId === undefined || secretAccessKey === undefined) return null
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}

async function readParameters(
  base: string,
  access: Access,
  signal: AbortSignal,
): Promise<{ bucket: string; path: string }> {
  const { GetParameterCommand, SSMClient } = await import("@aws-sdk/client-ssm")
  const client = new SSMClient(clientSettings(access))
  const value = async (name: string): Promise<string> => {
    try {
      const answer = await client.send(new GetParameterCommand({ Name: name, WithDecryption: true }), {
        abortSignal: signal,
      })
      return answer.Parameter?.Value ?? ""
    } catch (error) {
      throw awsFault(`SSM parameter ${name}`, error, signal)
    }
  }
  try {
    return { bucket: await value(`${base}/s3_bucket`), path: await value(`${base}/s3_path`) }
  } finally {
    client.destroy()
  }
}

function parse(url: string): URL {
  try {
    const parsed = new URL(url)
    if (parsed.username === "" && parsed.password === "" && parsed.hash === "" && parsed.port === "") return parsed
  } catch (cause) {
    throw badUrl(url, cause)
  }
  throw badUrl(url)
}

function bucketName(bucket: string, where: string): string {
  // Older buckets of AWS and those of other servers may have upper case and underscores.
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) return bucket
  throw badUrl(where)
}

function badUrl(url: string, cause?: unknown): BackupError {
  // The part before an `@` could be a secret that somebody thought belonged there.
  const shown = escapeControl(url.replace(/\/\/[^/]*@/, "//…@"))
  return new BackupError("usage", `"${shown}" does not name an archive`, { hint: FORMS, cause })
}
