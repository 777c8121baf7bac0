// Restores a repository into a new one on a server. Its files are staged in a folder of this machine, then all refs and LFS
// objects are pushed. Only packs, refs and LFS objects of the archive are used: configuration and hooks are our own.
//
// Nothing on the server is replaced: a remote that has refs is refused, or, if told so, gets what it lacks.

import { createHash } from "node:crypto"
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { BackupError, type CatalogueEntry, escapeControl, fromByteString, type Target } from "@backup-cloud/format"
import { readLocal } from "./entries.ts"
import { Git, type GitOptions } from "./git.ts"
import { PACK } from "./mirror.ts"
import { expectEmpty, push } from "./push.ts"
import { type RemoteOptions, remoteOf } from "./remote.ts"

export interface GitTargetOptions extends RemoteOptions, GitOptions {
  /** Folder, absolute, for what is staged: as large as the repository. Made if it is not there; emptied at the end. */
  readonly staging: string
  /** Push also into a repository that has refs. None is replaced: what differs is a problem. */
  readonly intoExisting?: boolean
}

const LFS = /^lfs\/objects\/[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{64}$/
const PART = ".part"

/**
 * The way back. The run holds one repository, at `<any name>.git`; whose refs are pushed to `url`, HEAD's branch first, and
 * LFS objects before them. An interrupted restore is gone on with from what is staged.
 *
 * Throws `conflict` for a remote that is not empty, `usage` for a run that holds none or several repositories, and what
 * git meets as `gitSource` does. A ref that the server refuses is a problem of `finish`.
 */
export function gitTarget(options: GitTargetOptions): Target {
  const remote = remoteOf(options)
  let top = ""
  const staged = (entry: CatalogueEntry): string => {
    const at = inRepository(entry.path)
    if (at === null || top === "") throw new RangeError("asked for a file that has no place")
    return join(options.staging, top, at)
  }
  const wanted = ({ path }: CatalogueEntry): boolean => inRepository(path) !== null
  const use = async <T>(work: (git: Git) => Promise<T>): Promise<T> => {
    await using git = await Git.open(remote, options)
    return await work(git)
  }
  let repository = ""
  return {
    async begin(what, signal) {
      if (options.intoExisting !== true) await use((git) => expectEmpty(git, signal))
      top = createHash("sha256").update(what).digest("hex").slice(0, 16)
      await mkdir(join(options.staging, top), { recursive: true, mode: 0o700 })
    },
    async has(entry, signal) {
      const own = entry.path.split("/")[0] ?? ""
      if (!own.endsWith(".git") || (repository !== "" && own !== repository)) throw several(own)
      repository = own
      if (!wanted(entry)) return true
      const size = (await stat(staged(entry)).catch(() => null))?.size ?? -1
      if (size !== entry.size) return false
      const digest = createHash("sha256")
      for await (const piece of readLocal(staged(entry), size)) {
        signal.throwIfAborted()
        digest.update(piece)
      }
      return digest.digest("hex") === entry.sha256
    },
    async write(entry, offset, bytes) {
      const file = `${staged(entry)}${PART}`
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      // Opened for writing, not cut off, as pieces come in any order.
      await using handle = await open(file, "a").then(async (made) => {
        await made.close()
        return await open(file, "r+")
      })
      await handle.write(bytes, 0, bytes.length, offset)
    },
    async *read(entry) {
      if (!wanted(entry)) throw notStaged(entry)
      const file = staged(entry)
      const part = await stat(`${file}${PART}`).catch(() => null)
      yield* readLocal(part === null ? file : `${file}${PART}`, entry.size)
    },
    async commit(entry) {
      if (entry.size === 0) return
      await rename(`${staged(entry)}${PART}`, staged(entry))
    },
    async discard(entry) {
      await rm(`${staged(entry)}${PART}`, { force: true })
    },
    async make() {
      // Folders are made with what lies in them; what has no content is reported as lost, or was recorded so.
    },
    async finish(signal) {
      if (repository === "") throw several("nothing")
      const at = join(options.staging, top)
      const problems = await use((git) => push(git, at, repository, signal))
      await rm(at, { recursive: true })
      if ((await readdir(options.staging)).length === 0) await rm(options.staging, { recursive: true })
      return problems
    },
  }
}

/** Where a file of the archive lies in a repository; `null` for what is made anew or has no place in one. */
function inRepository(path: string): string | null {
  const at = path.slice(path.indexOf("/") + 1)
  const known = at === "HEAD" || at === "packed-refs" || LFS.test(at)
  return known || (at.startsWith("objects/pack/") && PACK.test(at.slice("objects/pack/".length))) ? at : null
}

function several(found: string): BackupError {
  return new BackupError("usage", `${escapeControl(fromByteString(found))}: is not the one repository of a run; nothing was pushed`, {
    hint: "choose one repository with --path 'name.git/**', or restore into a directory and push from there",
  })
}

function notStaged({ path }: CatalogueEntry): BackupError {
  return new BackupError("refused", `${escapeControl(fromByteString(path))}: is not pushed, so it cannot be read again`)
}
