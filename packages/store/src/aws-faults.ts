// Turns what the AWS SDK throws into faults, by the error's code and HTTP status, never by its message. Where neither
// tells, the request was not answered, and whether it took effect is unknown: `unavailable`.

import { BackupError, type Fault } from "@backup-cloud/format"

/** Codes that say more than their status. Names as in S3's, SSM's and Ceph's lists of errors. */
const byCode: Readonly<Record<string, readonly [Fault, string, string?]>> = {
  NoSuchBucket: ["not-found", "there is no such bucket"],
  NoSuchKey: ["not-found", "it is not there"],
  NotFound: ["not-found", "it is not there"],
  NoSuchVersion: ["not-found", "there is no such version"],
  ParameterNotFound: ["not-found", "there is no such parameter"],
  ParameterAlreadyExists: ["conflict", "it exists already"],
  PreconditionFailed: ["conflict", "it exists already"],
  ConditionalRequestConflict: ["unavailable", "another create of the name was under way"],
  OperationAborted: ["unavailable", "another change was under way"],
  RequestTimeout: ["unavailable", "the server waited too long for the body"],
  RequestTimeTooSkewed: ["refused", "the clocks differ too much", "set the clock of this machine"],
  ExpiredToken: ["refused", "the credentials have expired", "sign in again"],
  ExpiredTokenException: ["refused", "the credentials have expired", "sign in again"],
  CredentialsProviderError: [
    "refused",
    "there are no AWS credentials",
    "set AWS_ACCESS_KEY_ID or sign in with aws sso login",
  ],
  PermanentRedirect: [
    "usage",
    "the bucket is in another region",
    "give its region, as in s3://bucket/prefix?region=eu-central-1",
  ],
  AuthorizationHeaderMalformed: [
    "usage",
    "the bucket is in another region",
    "give its region, as in s3://bucket/prefix?region=eu-central-1",
  ],
}

/**
 * `error` as a fault that names `object`; what is a fault already, or the reason of an aborted signal, as it is.
 */
export function awsFault(object: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (error instanceof BackupError) return error
  const { code, status } = answerOf(error)
  const known = byCode[code]
  if (known !== undefined) return fault(object, known, error)
  const said = code === "" ? "" : ` (${code})`
  if (status === 412) return fault(object, ["conflict", "it exists already"], error)
  if (status === 404) return fault(object, ["not-found", "it is not there"], error)
  if (status === 401 || status === 403)
    return fault(object, ["refused", `the server gives no right to it${said}`], error)
  if (status === 501) return fault(object, ["refused", `the server does not know how to do it${said}`], error)
  if (status === 0) return fault(object, ["unavailable", `the server did not answer${said}`], error)
  if (status >= 500 || status === 408 || status === 429 || status < 300) {
    return fault(object, ["unavailable", `the server failed with ${status}${said}`], error)
  }
  return fault(object, ["refused", `the server refused it with ${status}${said}`], error)
}

function fault(object: string, [kind, what, hint]: readonly [Fault, string, string?], cause: unknown): BackupError {
  return new BackupError(kind, `${object}: ${what}`, hint === undefined ? { cause } : { cause, hint })
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
