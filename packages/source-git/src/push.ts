// Pushes a restored repository to a new one. It is pushed from a repository made here, which borrows the restored packs and
// refs: configuration and hooks of what came from an archive are never read.

import { access, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, type TargetProblem, toByteString } from "@backup-cloud/format"
import { translated } from "./faults.ts"
import { type Git, GitFailure } from "./git.ts"
import { shown } from "./remote.ts"

const NOT_PUSHED = "the restore is not whole"
/** Refs that a server makes itself, of pull and merge requests, and takes from nobody. */
const OWN_REFS = /^refs\/(?:pull|merge-requests|pipelines|keep-around|changes)\//

/** Throws `conflict` if the remote has refs. */
export async function expectEmpty(git: Git, signal: AbortSignal): Promise<void> {
  if ((await remoteRefs(git, signal)).size === 0) return
  throw new BackupError("conflict", `${shown(git.remote.url)}: is not empty; nothing was restored`, {
    hint: "make a new, empty repository, or say that what it lacks goes into this one",
  })
}

/** Refs of the remote with their objects, without HEAD and what tags stand for. */
async function remoteRefs(git: Git, signal: AbortSignal): Promise<Map<string, string>> {
  try {
    const told = await git.text(["ls-remote", "--refs", "--", git.remote.url], { cwd: "/", signal })
    return new Map([...told.matchAll(/^([0-9a-f]+)\t(.*)$/gm)].map(([, id = "", ref = ""]) => [ref, id]))
  } catch (error) {
    throw await translated(error, git.remote, "nothing was restored", "git-receive-pack")
  }
}

/**
 * Pushes LFS objects, then HEAD's branch, which many servers make the first, then all other refs; and compares what the
 * server has then. What is not there is a problem, by the path of its ref.
 * @param from the restored bare repository
 * @param folder for the repository that is pushed from, which is removed
 */
export async function push(git: Git, from: string, folder: string, signal: AbortSignal): Promise<TargetProblem[]> {
  const cwd = join(folder, "push.git")
  try {
    const [head, refs] = await Promise.all(["HEAD", "packed-refs"].map((name) => readFile(join(from, name), "latin1")))
    const wanted = new Map(
      [...(refs ?? "").matchAll(/^([0-9a-f]+) (refs\/.*)$/gm)].map(([, id = "", ref = ""]) => [ref, id]),
    )
    await prepare(git, from, cwd, wanted, signal)
    const lfs = join(from, "lfs")
    if (await isThere(join(lfs, "objects"))) {
      const storage = ["-c", `lfs.storage=${lfs}`, "-c", "lfs.allowincompletepush=true"]
      await git.run([...storage, "lfs", "push", "--all", "origin"], { cwd, signal })
    }
    const first = /^ref: (refs\/heads\/\S+)$/m.exec(head ?? "")?.[1] ?? ""
    const refused = new Map<string, string>()
    for (const spec of [...(wanted.has(first) ? [`${first}:${first}`] : []), "refs/*:refs/*"])
      for (const [ref, why] of await pushRefs(git, cwd, spec, signal)) refused.set(ref, why)
    const there = await remoteRefs(git, signal)
    return [...wanted].flatMap(([ref, id]) => {
      if (there.get(ref) === id) return []
      const why = `the server did not take it${refused.has(ref) ? `: ${refused.get(ref) ?? ""}` : ""}`
      return [{ path: toByteString(ref), why, expected: OWN_REFS.test(ref) }]
    })
  } catch (error) {
    throw await translated(error, git.remote, NOT_PUSHED, "git-receive-pack")
  } finally {
    await rm(cwd, { recursive: true, force: true })
  }
}

async function prepare(
  git: Git,
  from: string,
  cwd: string,
  refs: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<void> {
  await rm(cwd, { recursive: true, force: true })
  const sha256 = [...refs.values()].some((id) => id.length === 64)
  const format = sha256 ? ["--object-format=sha256"] : []
  await git.run(["init", "--quiet", "--bare", "--template=", ...format, cwd], { cwd: "/", signal })
  await mkdir(join(cwd, "objects/info"), { recursive: true })
  await writeFile(join(cwd, "objects/info/alternates"), `${join(from, "objects")}\n`)
  await copyFile(join(from, "packed-refs"), join(cwd, "packed-refs"))
  await git.run(["config", "remote.origin.url", git.remote.url], { cwd, signal })
}

/** Refs that the server refused, with its reason. */
async function pushRefs(git: Git, cwd: string, spec: string, signal: AbortSignal): Promise<Map<string, string>> {
  try {
    await git.run(["push", "--porcelain", "--no-verify", "--no-recurse-submodules", "origin", spec], { cwd, signal })
    return new Map()
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error
    const lines = error.output.matchAll(/^!\t[^\t]*:(refs\/[^\t]*)\t(.*)$/gm)
    const refused = new Map([...lines].map(([, ref = "", why = ""]) => [ref, why]))
    // With none it is not about single refs.
    if (refused.size === 0) throw error
    return refused
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
