// A mirror of a repository on this machine: all refs as the server has them, kept between runs so that only what is new is
// fetched. What is fetched comes as one more pack; packs are merged rarely, so that those of earlier runs stay as they are.
//
// The mirror is a cache: if it is gone, damaged or another repository's, everything is fetched anew. One process at a time.

import { hash } from "node:crypto"
import { mkdir, readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { translated } from "./faults.ts"
import { type Git, GitFailure } from "./git.ts"
import { fetchLfs } from "./lfs.ts"

export interface Mirror {
  /** The bare repository, absolute. */
  readonly path: string
  /** Content of HEAD and of packed-refs: byte strings. */
  readonly head: string
  readonly refs: string
  /** Ids of LFS objects that the server should have and has not. */
  readonly missing: readonly string[]
}

/** Packs from which on the smaller ones are merged. */
const MOST_PACKS = 50
export const PACK = /^pack-(?:[0-9a-f]{40}|[0-9a-f]{64})\.(?:pack|idx)$/
const NOT_WHOLE = "the backup is not whole"

/**
 * Makes the mirror below `cache` what the server has now.
 *
 * Throws `refused` or `not-found` where the server gives no right or no repository, `unavailable` if it does not answer or
 * git-lfs is needed and not there, `incomplete` if git is ended or fails otherwise.
 */
export async function updateMirror(git: Git, cache: string, signal: AbortSignal): Promise<Mirror> {
  const path = join(cache, `${git.remote.name}.git`)
  await mkdir(cache, { recursive: true, mode: 0o700 })
  try {
    await open(git, path, signal)
    try {
      await fetchRefs(git, path, signal)
    } catch (error) {
      if (!(error instanceof GitFailure) || (await isSound(git, path, signal))) throw error
      await rm(path, { recursive: true })
      await open(git, path, signal)
      await fetchRefs(git, path, signal)
    }
    const head = await fetchHead(git, path, signal)
    await tidy(git, path, signal)
    const refs = await readRefs(git, path, signal)
    const missing = await fetchLfs(git, path, hash("sha256", Buffer.from(refs, "latin1")), signal)
    return { path, head, refs, missing }
  } catch (error) {
    throw await translated(error, git.remote, NOT_WHOLE)
  }
}

/** Makes an empty mirror unless there is one of this repository. */
async function open(git: Git, path: string, signal: AbortSignal): Promise<void> {
  const own = await git
    .text(["config", "--file", join(path, "config"), "--get", "remote.origin.url"], { cwd: "/", signal })
    .catch((error: unknown) => {
      if (error instanceof GitFailure) return ""
      throw error
    })
  if (own.trimEnd() === git.remote.url) {
    await removeLeft(path)
    return
  }
  await rm(path, { recursive: true, force: true })
  await git.run(["init", "--quiet", "--bare", "--template=", path], { cwd: "/", signal })
  await git.run(["config", "remote.origin.url", git.remote.url], { cwd: path, signal })
}

/** What a git that was killed leaves: locks, which nobody holds any more, and packs that are not whole. */
async function removeLeft(path: string): Promise<void> {
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && /\.lock$|^tmp_|^\.tmp|\.keep$/.test(entry.name)) await rm(join(entry.parentPath, entry.name))
}

async function fetchRefs(git: Git, path: string, signal: AbortSignal): Promise<void> {
  const all = ["--prune", "--no-tags", "--force", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"]
  await git.run(["fetch", "--quiet", ...all, "origin", "+refs/*:refs/*"], { cwd: path, signal })
}

/** Whether the objects that refs name are there. */
async function isSound(git: Git, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await git.run(["rev-list", "--objects", "--all", "--quiet"], { cwd: path, signal })
    return true
  } catch (error) {
    if (error instanceof GitFailure) return false
    throw error
  }
}

/** Which branch the server shows first, as the content of HEAD. */
async function fetchHead(git: Git, path: string, signal: AbortSignal): Promise<string> {
  const told = await git.text(["ls-remote", "--symref", "origin", "HEAD"], { cwd: path, signal })
  const branch = /^ref: (refs\/heads\/[^\s]+)\tHEAD$/m.exec(told)?.[1]
  const commit = /^([0-9a-f]{40,64})\tHEAD$/m.exec(told)?.[1]
  return branch === undefined ? `${commit ?? "ref: refs/heads/main"}\n` : `ref: ${branch}\n`
}

/** Everything in packs, and not too many of them. */
async function tidy(git: Git, path: string, signal: AbortSignal): Promise<void> {
  const loose = (await readdir(join(path, "objects"))).some((name) => /^[0-9a-f]{2}$/.test(name))
  if (loose) await git.run(["repack", "-d", "-q"], { cwd: path, signal })
  const packs = (await readdir(join(path, "objects/pack"))).filter((name) => name.endsWith(".pack"))
  if (packs.length > MOST_PACKS) await git.run(["repack", "--geometric=2", "-d", "-q"], { cwd: path, signal })
}

/** All refs, as a packed-refs file has them. Fails if an object that one names is not there: its type is asked for. */
async function readRefs(git: Git, path: string, signal: AbortSignal): Promise<string> {
  const format = "--format=%(objecttype) %(objectname) %(refname)"
  const lines = (await git.text(["for-each-ref", format], { cwd: path, signal })).split("\n").filter(Boolean)
  const refs = lines.map((line) => line.slice(line.indexOf(" ") + 1))
  return `# pack-refs with: sorted \n${refs.map((ref) => `${ref}\n`).join("")}`
}
