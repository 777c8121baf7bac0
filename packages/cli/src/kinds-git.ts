// Repositories as sources and as places to restore to: how the packages for them are given URL, password and folders.

import { join } from "node:path"
import { BackupError, type Source, type Target } from "@backup-cloud/format"
import { installed } from "./installed.ts"
import { type PasswordPlace, passwordOf } from "./passwords.ts"
import type { Session } from "./session.ts"

export type RepositoryPlace =
  | { readonly kind: "git"; readonly url: string }
  /** `api`: of an Enterprise Server, `https://HOST/api/v3`; `null` for github.com. */
  | { readonly kind: "github"; readonly owner: string; readonly api: string | null }

/** `git:URL`, or `github:OWNER` with `?api=URL`; `null` for what is neither. */
export function repositoryPlace(url: string): RepositoryPlace | null {
  if (!URL.canParse(url)) return null
  if (/^git:(?:https?|ssh|git|file):\/\/[^?#]+$/.test(url)) {
    const repository = url.slice("git:".length)
    return URL.canParse(repository) && new URL(repository).password === "" ? { kind: "git", url: repository } : null
  }
  const { protocol, pathname, searchParams, hash, host } = new URL(url)
  const known = [...searchParams.keys()].every((name) => name === "api")
  if (protocol !== "github:" || host !== "" || hash !== "" || !known) return null
  return /^[A-Za-z0-9][A-Za-z0-9-]*$/.test(pathname)
    ? { kind: "github", owner: pathname, api: searchParams.get("api") }
    : null
}

/** What most servers take as the name beside a token. */
const ANYBODY = "x-access-token"

/** @param name of the source, whose folder keeps the mirror between runs */
export async function openGitSource(
  session: Session,
  name: string,
  url: string,
  place: PasswordPlace,
): Promise<Source> {
  const { gitSource } = await installed("source-git", () => import("@backup-cloud/source-git"))
  return gitSource({ ...(await access(session, url, place)), cache: join(session.config.home, "cache", name) })
}

export async function openGitTarget(
  session: Session,
  url: string,
  options: { readonly password: PasswordPlace; readonly intoExisting: boolean },
): Promise<Target> {
  const { gitTarget } = await installed("source-git", () => import("@backup-cloud/source-git"))
  const staging = join(session.config.home, "restoring")
  const { intoExisting, password } = options
  return gitTarget({ ...(await access(session, url, password)), staging, intoExisting })
}

async function access(session: Session, url: string, place: PasswordPlace) {
  const { env, kill, signal } = session.io
  const password = await passwordOf(session, url, place)?.(signal)
  if (password === undefined) return { url, env, kill }
  // The name goes with the password: in the URL git would take it for a reason to ask somebody.
  const bare = new URL(url)
  const username = decodeURIComponent(bare.username) || ANYBODY
  bare.username = ""
  return { url: bare.href, env, kill, credential: { username, password } }
}

type GithubPlace = Extract<RepositoryPlace, { kind: "github" }>

export async function openGithubSource(
  session: Session,
  name: string,
  place: GithubPlace,
  password: PasswordPlace,
): Promise<Source> {
  const { githubSource } = await installed("source-github", () => import("@backup-cloud/source-github"))
  const cache = join(session.config.home, "cache", name)
  return githubSource({ ...(await githubAccess(session, place, password)), cache, now: session.io.now })
}

export async function openGithubTarget(
  session: Session,
  place: GithubPlace,
  { password, intoExisting }: { readonly password: PasswordPlace; readonly intoExisting: boolean },
): Promise<Target> {
  const { githubTarget } = await installed("source-github", () => import("@backup-cloud/source-github"))
  const staging = join(session.config.home, "restoring")
  return githubTarget({ ...(await githubAccess(session, place, password)), staging, intoExisting })
}

async function githubAccess(session: Session, { owner, api }: GithubPlace, password: PasswordPlace) {
  const { env, kill, signal } = session.io
  const token = await passwordOf(session, `github:${owner}`, password)?.(signal)
  if (token === undefined)
    throw new BackupError("usage", `github:${owner} takes a token; nothing was done`, {
      hint: "give --password-file FILE, or password_file or password_command in backup-cloud.yaml",
    })
  return { owner, token, env, kill, ...(api === null ? {} : { baseUrl: api }) }
}
