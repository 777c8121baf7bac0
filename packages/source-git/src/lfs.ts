// LFS objects of a mirror: those that any commit of it names, fetched by git-lfs, which checks what it receives. What the
// server no longer has is listed, since old commits often name such objects, and the others are kept.

import { access, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import { type Git, GitFailure } from "./git.ts"
import { shown } from "./remote.ts"

/** In the mirror: digest of the refs whose LFS objects are all there. */
const DONE = "backup-cloud-lfs"

/** Where an object lies in a repository. @param id 64 hex digits */
export const lfsPath = (id: string): string => `lfs/objects/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}`

/**
 * Fetches what is not there yet. Ids of what cannot be had. Throws `unavailable` if it takes git-lfs and that is not
 * installed; `GitFailure`.
 * @param refs digest of all refs: while it is the same nothing is asked for
 */
export async function fetchLfs(git: Git, path: string, refs: string, signal: AbortSignal): Promise<string[]> {
  const done = await readFile(join(path, DONE), "latin1").catch(() => "")
  if (done === refs) return []
  const missing = (await usesLfs(git, path, signal)) ? await fetchObjects(git, path, signal) : []
  if (missing.length === 0) await writeFile(join(path, DONE), refs, { mode: 0o600 })
  return missing
}

/** Whether any commit has, or had, attributes that hand files to LFS. */
async function usesLfs(git: Git, path: string, signal: AbortSignal): Promise<boolean> {
  const search = ["log", "--all", "--format=%H", "--max-count=1", "-S", "filter=lfs"]
  const found = await git.text([...search, "--", ".gitattributes", "**/.gitattributes"], { cwd: path, signal })
  return found !== ""
}

async function fetchObjects(git: Git, path: string, signal: AbortSignal): Promise<string[]> {
  try {
    await git.run(["lfs", "version"], { cwd: path, signal })
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error
    const why = `${shown(git.remote.url)}: keeps files in LFS, and git-lfs is not installed; nothing was backed up`
    throw new BackupError("unavailable", why, { cause: error, hint: "install git-lfs" })
  }
  let failure: GitFailure | null = null
  try {
    await git.run(["lfs", "fetch", "--all", "origin"], { cwd: path, signal })
  } catch (error) {
    if (!(error instanceof GitFailure) || error.code === null) throw error
    failure = error
  }
  const missing: string[] = []
  for (const id of await lfsIds(git, path, signal))
    if (
      !(await access(join(path, lfsPath(id))).then(
        () => true,
        () => false,
      ))
    )
      missing.push(id)
  // It failed, and nothing is missing: then we don't know why, and do not say that all is well.
  if (failure !== null && missing.length === 0) throw failure
  return missing
}

/** Of the objects that any commit names, sorted. */
async function lfsIds(git: Git, path: string, signal: AbortSignal): Promise<string[]> {
  const told = await git.text(["lfs", "ls-files", "--all", "--long"], { cwd: path, signal })
  return [...new Set([...told.matchAll(/^([0-9a-f]{64}) [*-] /gm)].map((match) => match[1] ?? ""))].sort()
}
