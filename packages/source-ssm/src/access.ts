// How Systems Manager is asked: the SDK is loaded by the first call, and tries again what was throttled or not answered.
//
// Its errors become faults by code and status alone, and none of it is kept: AWS repeats a refused value in its message, and
// an answer that cannot be parsed is quoted, values and all.

import { setTimeout } from "node:timers/promises"
import type * as Sdk from "@aws-sdk/client-ssm"
import { BackupError, escapeControl, type Fault } from "@backup-cloud/format"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface SsmAccess {
  /** `https://host:port` of a server other than AWS. */
  readonly endpoint?: string
  /** As AWS names it; where it is not given, what the machine's AWS configuration says. */
  readonly region?: string
  /** Where they are not given, what the machine's AWS configuration or role says. */
  readonly credentials?: Credentials
  /** Tries of each request that is throttled or not answered; 10 unless given, which rides out some two minutes. */
  readonly tries?: number
  /** Waits, in milliseconds, until what was written can be read or changed again. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>
}

export class Ssm {
  readonly #options: SsmAccess
  #opened: Promise<{ sdk: typeof Sdk; client: Sdk.SSMClient }> | null = null

  constructor(options: SsmAccess) {
    this.#options = options
  }

  /**
   * Asks with the SDK's module and client. Throws a fault that names `what`.
   * @param what the object of the request, for people
   */
  async ask<T>(
    what: string,
    signal: AbortSignal,
    request: (client: Sdk.SSMClient, sdk: typeof Sdk) => Promise<T>,
  ): Promise<T> {
    const { sdk, client } = await (this.#opened ??= open(this.#options))
    for (let tries = 0; ; tries++) {
      signal.throwIfAborted()
      try {
        return await request(client, sdk)
      } catch (error) {
        signal.throwIfAborted()
        // Which the SDK takes for a refusal: another change of the same parameter is under way.
        if (codeOf(error) !== "TooManyUpdates" || !(await this.waitAgain(tries, signal))) throw faultOf(what, error)
      }
    }
  }

  /** Waits before another try, each time longer; false if there have been enough. */
  async waitAgain(tries: number, signal: AbortSignal): Promise<boolean> {
    const wait = WAITS[tries]
    if (wait === undefined) return false
    const sleep = this.#options.sleep ?? ((ms, s) => setTimeout(ms, undefined, { signal: s }))
    await sleep(wait, signal)
    return true
  }
}

const WAITS = [100, 200, 500, 1_000, 2_000, 5_000]

async function open(options: SsmAccess): Promise<{ sdk: typeof Sdk; client: Sdk.SSMClient }> {
  const { endpoint, credentials, tries = 10 } = options
  const region = options.region ?? (endpoint === undefined ? undefined : "us-east-1")
  const sdk = await import("@aws-sdk/client-ssm")
  const client = new sdk.SSMClient({
    maxAttempts: tries,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
  })
  return { sdk, client }
}

/** What AWS refused, by its code: for what is about one parameter and not the others. */
export class Refusal extends BackupError {
  readonly code: string

  constructor(fault: Fault, message: string, code: string, hint?: string) {
    super(fault, message, hint === undefined ? {} : { hint })
    this.code = code
  }
}

function faultOf(object: string, error: unknown): BackupError {
  if (error instanceof BackupError) return error
  const what = escapeControl(object)
  const code = codeOf(error)
  const status = statusOf(error)
  const said = code === "" ? "" : ` (${code})`
  if (code === "ParameterNotFound" || code === "ParameterVersionNotFound")
    return new Refusal("not-found", `${what}: there is no such parameter`, code)
  if (code === "CredentialsProviderError") {
    const hint = "set AWS_ACCESS_KEY_ID or sign in with aws sso login"
    return new Refusal("refused", `${what}: there are no AWS credentials; nothing was done`, code, hint)
  }
  if (code === "ExpiredTokenException" || code === "ExpiredToken")
    return new Refusal("refused", `${what}: the credentials have expired; it was not done`, code, "sign in again")
  if (status === 401 || status === 403 || code === "AccessDeniedException") {
    const hint = "the page of this source lists the rights it needs; a SecureString also needs kms:Decrypt of its key"
    return new Refusal("refused", `${what}: AWS gives no right to it${said}`, DENIED, hint)
  }
  const busy = /Throttl|TooManyUpdates|RequestLimitExceeded|InternalServerError|ServiceUnavailable/.test(code)
  if (busy || status < 300 || status >= 500 || status === 429)
    return new Refusal("unavailable", `${what}: AWS did not do it, or did not answer${said}`, code, "try again later")
  return new Refusal("refused", `${what}: AWS refused it${said}`, code)
}

export const DENIED = "AccessDeniedException"

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ""
  const { code } = error as { code?: unknown }
  const named = error.name === "Error" && typeof code === "string" ? code : error.name
  return /^[A-Za-z0-9_-]{1,64}$/.test(named) ? named : ""
}

/** HTTP status; 0 if there was no whole answer. */
function statusOf(error: unknown): number {
  if (!(error instanceof Error)) return 0
  const { $metadata, $response } = error as {
    $metadata?: { httpStatusCode?: number }
    $response?: { statusCode?: number }
  }
  return $metadata?.httpStatusCode ?? $response?.statusCode ?? 0
}
