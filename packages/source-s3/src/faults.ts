// Turns what the AWS SDK throws into what a source or target throws, by the error's code and HTTP status, never by its
// message. What concerns one object alone is an `EntryError`; all else ends the run.

import { BackupError, EntryError, type Fault } from "@backup-cloud/format"

/** Codes that say more than their status. */
const byCode: Readonly<Record<string, readonly [Fault, string, string?]>> = {
  NoSuchBucket: ["not-found", "there is no such bucket"],
  ExpiredToken: ["refused", "the credentials have expired", "sign in again"],
  ExpiredTokenException: ["refused", "the credentials have expired", "sign in again"],
  InvalidAccessKeyId: ["refused", "the access key is not known"],
  SignatureDoesNotMatch: ["refused", "the secret key is not that of the access key"],
  RequestTimeTooSkewed: ["refused", "the clocks differ too much", "set the clock of this machine"],
  CredentialsProviderError: [
    "refused",
    "there are no AWS credentials",
    "set AWS_ACCESS_KEY_ID or sign in with aws sso login",
  ],
  PermanentRedirect: ["usage", "the bucket is in another region", "give its region"],
  AuthorizationHeaderMalformed: ["usage", "the bucket is in another region", "give its region"],
  PreconditionFailed: ["conflict", "something is there already", "nothing was overwritten; restore to another prefix"],
  InvalidObjectState: ["refused", "it lies in an archive class and cannot be read there", "restore it in S3 first"],
  InvalidStorageClass: ["refused", "the bucket does not have this storage class", "name another one for all objects"],
  BadDigest: ["unavailable", "its content was damaged on its way to the server"],
  XAmzContentSHA256Mismatch: ["unavailable", "its content was damaged on its way to the server"],
  KeyTooLongError: ["refused", "its key would be longer than 1,024 bytes", "restore to a shorter prefix"],
}

/** `error` as a fault that names `what`; what is a fault already, or the reason of an aborted signal, as it is. */
export function placeFault(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (error instanceof BackupError || error instanceof EntryError) return error
  const { code, status } = answerOf(error)
  const said = code === "" ? "" : ` (${code})`
  const [fault, why, hint] = byCode[code] ?? byStatus(status, said)
  return new BackupError(fault, `${what}: ${why}`, hint === undefined ? { cause: error } : { cause: error, hint })
}

function byStatus(status: number, said: string): readonly [Fault, string, string?] {
  if (status === 412) return byCode["PreconditionFailed"] ?? ["conflict", "something is there already"]
  if (status === 404) return ["not-found", `it is not there${said}`]
  if (status === 401 || status === 403) return ["refused", `the server gives no right to it${said}`]
  if (status === 0) return ["unavailable", `the server did not answer${said}`]
  if (status >= 500 || status === 408 || status === 429 || status < 300)
    return ["unavailable", `the server failed with ${status}${said}`]
  return ["refused", `the server refused it with ${status}${said}`]
}

/** As `placeFault`, of the reading of one object: an `EntryError` if others may still be had. */
export function objectFault(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  const { code, status } = answerOf(error)
  const word = wordOf(code, status)
  return word === null ? placeFault(what, error, signal) : new EntryError(word, { cause: error })
}

function wordOf(code: string, status: number): string | null {
  if (code === "InvalidObjectState") return "GLACIER"
  if (code === "AccessDenied" || code === "AllAccessDisabled") return "EACCES"
  if (code.startsWith("KMS.")) return "KMS"
  if (byCode[code] !== undefined && code !== "PreconditionFailed") return null
  // Of what is sent to read an object, only an encryption key of the customer's own can be missing.
  if (code === "InvalidRequest") return "SSE-C"
  // A version may be a delete marker, which has no content and no such method.
  if (status === 404 || status === 405) return "ENOENT"
  if (status === 412) return "changed"
  return null
}

/** The error's code (`""` if none) and HTTP status (0 if there was no whole answer). */
export function answerOf(error: unknown): { code: string; status: number } {
  if (!(error instanceof Error)) return { code: "", status: 0 }
  const { $metadata, $response, code } = error as {
    $metadata?: { httpStatusCode?: number }
    $response?: { statusCode?: number }
    code?: unknown
  }
  const named = error.name === "Error" && typeof code === "string" ? code : error.name
  return { code: named, status: $metadata?.httpStatusCode ?? $response?.statusCode ?? 0 }
}
