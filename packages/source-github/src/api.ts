// How GitHub is asked: octokit with its plugins, which wait as long as the server says and ask again what failed by chance.
// Answers that come with an ETag are kept, and asked for again only if they changed: that does not count against the limit.

import { hash } from "node:crypto"
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { diskFault } from "@backup-cloud/source-git"
import { retry } from "@octokit/plugin-retry"
import { throttling } from "@octokit/plugin-throttling"
import { Octokit } from "@octokit/rest"

export interface GithubAccess {
  /** `https://HOST/api/v3` of a GitHub Enterprise Server; `https://api.github.com` unless given. */
  readonly baseUrl?: string
  readonly token: string
  /** False for a server without limits: writes are not spread over time. */
  readonly paced?: boolean
  /** Milliseconds that a second of waiting lasts; 1,000 unless given. */
  readonly second?: number
  /** Tries of a request that meets a limit; 5 unless given. */
  readonly tries?: number
}

export const GITHUB = "https://api.github.com"
export type Client = Octokit

/** Throws `usage` for what is no URL of an API, `refused` for one that the token would go to in the clear. */
export function expectApi({ baseUrl = GITHUB }: GithubAccess): void {
  const shown = escapeControl(baseUrl)
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "")
    throw new BackupError("usage", `${shown}: is no URL of GitHub's API; nothing was done`, {
      hint: "of an Enterprise Server it is https://HOST/api/v3",
    })
  if (url.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(url.hostname))
    throw new BackupError("refused", `${shown}: the token would go there unencrypted; nothing was done`, {
      hint: "use https",
    })
}

/** @param cache folder for answers; `null` keeps none */
export function openClient(access: GithubAccess, cache: string | null, signal: AbortSignal): Client {
  const { baseUrl = GITHUB, second = 1_000, tries = 5, token } = access
  const again = (_after: number, _options: object, _client: object, count: number): boolean =>
    !signal.aborted && count < tries
  // Only its `key` and `schedule` are used.
  const unpaced = { key: () => ({ schedule: async (_: object, work: () => Promise<void>) => work() }) } as never
  const WithPlugins = Octokit.plugin(throttling, retry)
  const client: Client = new WithPlugins({
    auth: token,
    baseUrl,
    userAgent: "backup-cloud",
    log: { debug: silent, info: silent, warn: silent, error: silent },
    request: { signal },
    retry: { retryAfterBaseValue: second },
    throttle: {
      onRateLimit: again,
      onSecondaryRateLimit: again,
      retryAfterBaseValue: second,
      ...(access.paced === false ? { write: unpaced, notifications: unpaced } : {}),
    },
  })
  // What was made although no answer came would be made twice: a restore looks at what is there when it goes on.
  client.hook.before("request", ({ method, request }) => {
    if (method !== "GET") Object.assign(request, { retries: 0 })
  })
  if (cache !== null) keepAnswers(client, cache)
  return client
}

const silent = (): void => undefined

/** What is asked for only when it is known to have changed is not kept twice. */
const NOT_KEPT = /[?&]since=|\/(?:issues|pulls)\/[0-9]+(?:[/?]|$)|\/releases\/assets\//

interface Kept {
  readonly etag: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly data: unknown
}

function keepAnswers(client: Client, cache: string): void {
  client.hook.wrap("request", async (request, options) => {
    const { url, method } = client.request.endpoint(options)
    if (method !== "GET" || NOT_KEPT.test(url)) return await request(options)
    const file = join(cache, `${hash("sha256", url)}.json`)
    const kept = await readFile(file, "utf8").then(
      (text) => JSON.parse(text) as Kept,
      () => null,
    )
    if (kept !== null) options.headers["if-none-match"] = kept.etag
    try {
      const answer = await request(options)
      const { etag, link } = answer.headers
      if (etag !== undefined) {
        const text = JSON.stringify({ etag, headers: { link }, data: answer.data } satisfies Kept)
        await mkdir(cache, { recursive: true, mode: 0o700 })
        await writeFile(`${file}.new`, text, { mode: 0o600 })
        await rename(`${file}.new`, file)
      }
      return answer
    } catch (error) {
      if (kept === null || statusOf(error) !== 304) throw error
      const { headers, data } = kept
      return { status: 200, url, headers: headers as never, data }
    }
  })
}

/** HTTP status of an answer that is an error; 0 if there was no answer. */
export function statusOf(error: unknown): number {
  if (!(error instanceof Error) || !("status" in error)) return 0
  // Without an answer octokit says 500.
  if (!("response" in error) || error.response === undefined) return 0
  return Number(error.status)
}

/** Whether it met a limit, of which GitHub also says 403. */
function isLimit(error: unknown): boolean {
  const status = statusOf(error)
  if (status !== 403 && status !== 429) return false
  const { headers } = (error as { response: { headers: Readonly<Record<string, string | undefined>> } }).response
  return status === 429 || headers["x-ratelimit-remaining"] === "0" || headers["retry-after"] !== undefined
}

/** Of one object, which the others can be had without: the word for what the server said; `null` for anything else. */
export function lossOf(error: unknown): string | null {
  const status = statusOf(error)
  const own = [403, 404, 409, 410, 451].includes(status) || status >= 500
  return own && !isLimit(error) ? `HTTP-${status}` : null
}

/**
 * The fault of what octokit threw. Its own error, which holds the request, is not kept.
 * @param what the object of the request, for people
 */
export function faultOf(
  what: string,
  error: unknown,
  signal: AbortSignal,
  notDone = "the backup is not whole",
): unknown {
  if (signal.aborted) return signal.reason
  if (error instanceof BackupError) return error
  const disk = diskFault(error, notDone)
  if (disk !== null) return disk
  const status = statusOf(error)
  if (status === 0 && !(error instanceof Error && "status" in error)) return error
  const said = status === 0 ? "it did not answer" : `HTTP ${status}`
  const message = (why: string): string => `${escapeControl(what)}: ${why} (${said}); ${notDone}`
  if (isLimit(error))
    return new BackupError("unavailable", message("GitHub's limit of requests is used up"), {
      hint: "run it again later: it goes on",
    })
  if (status === 401)
    return new BackupError("refused", message("GitHub does not know the token"), {
      hint: "make a new token, or check the file it is in",
    })
  if (status === 403)
    return new BackupError("refused", message("the token gives no right to it"), {
      hint: "the page of this source lists the rights it needs",
    })
  if (status === 404)
    return new BackupError("not-found", message("GitHub shows no such thing"), {
      hint: "check the name, and whether the token may see it",
    })
  if (status === 0 || status >= 500)
    return new BackupError("unavailable", message("GitHub did not do it"), { hint: "try again later" })
  return new BackupError("refused", message("GitHub refused it"))
}
