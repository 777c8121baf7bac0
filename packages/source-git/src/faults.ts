// Why git failed. It tells by its words alone, which no decision is made by: the server is asked again, and its status
// tells whether the credential is wrong, the repository absent or the server down.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { GitFailure } from "./git.ts"
import { type Remote, shown } from "./remote.ts"

const WAIT = 30_000

/** `unavailable` for what the file system of the mirror or the staging refused; `null` for any other error. */
export function diskFault(error: unknown, notDone: string): BackupError | null {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return null
  const path =
    "path" in error && typeof error.path === "string" ? escapeControl(error.path) : "a folder of this machine"
  return new BackupError("unavailable", `${path}: cannot be used (${String(error.code)}); ${notDone}`, {
    cause: error,
    hint: "make room where backup-cloud keeps its cache, or give it the right to that folder, and run it again",
  })
}

/**
 * What to throw for `error` of a git that spoke with the server. An error that is no failure of git stays.
 * @param notDone such as `the backup is not whole`
 * @param service what git was about to do there
 */
export async function translated(
  error: unknown,
  remote: Remote,
  notDone: string,
  service: "git-upload-pack" | "git-receive-pack" = "git-upload-pack",
): Promise<unknown> {
  if (!(error instanceof GitFailure)) return diskFault(error, notDone) ?? error
  const { url } = remote
  const fail = (
    fault: "refused" | "not-found" | "unavailable" | "incomplete",
    why: string,
    hint: string,
  ): BackupError =>
    new BackupError(fault, `${shown(url)}: ${why}; ${notDone}; ${error.message}`, { cause: error, hint })
  const status = error.code === null || !remote.protocol.startsWith("http") ? 200 : await statusOf(remote, service)
  if (status === 401 || status === 403)
    return fail("refused", `the server gives no right to it (HTTP ${status})`, "check the token and what it may read")
  if (status === 404)
    return fail("not-found", "the server shows no such repository", "check the URL, and whether the token may see it")
  if (status === 0 || status === 429 || status >= 500) {
    const how = status === 0 ? "the server does not answer" : `the server does not do it (HTTP ${status})`
    return fail("unavailable", how, "try again later")
  }
  return fail("incomplete", "git failed", "run git by itself and mend what it says")
}

/** Status of the request that git starts with; 0 if there is no answer. */
async function statusOf({ url, credential }: Remote, service: string): Promise<number> {
  const basic = Buffer.from(`${credential?.username ?? ""}:${credential?.password ?? ""}`).toString("base64")
  try {
    const answer = await fetch(`${url.replace(/\/+$/, "")}/info/refs?service=${service}`, {
      headers: credential === undefined ? {} : { authorization: `Basic ${basic}` },
      redirect: "manual",
      signal: AbortSignal.timeout(WAIT),
    })
    await answer.body?.cancel()
    return answer.status
  } catch {
    return 0
  }
}
