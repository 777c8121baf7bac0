// Repositories as sources and as places to restore to: how the packages for them are given URL, password and folders.

import { join } from "node:path"
import type { Source, Target } from "@backup-cloud/format"
import { installed } from "./installed.ts"
import { type PasswordPlace, passwordOf } from "./passwords.ts"
import type { Session } from "./session.ts"

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
