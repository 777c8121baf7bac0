// Restores a repository into a new one on a server. Its files are staged in a folder of this machine, then all refs and LFS
// objects are pushed. Nothing on the server is replaced: a remote that has refs is refused, or, if told so, gets what it lacks.

import { join } from "node:path"
import { BackupError, escapeControl, fromByteString, type Target } from "@backup-cloud/format"
import { Git, type GitOptions } from "./git.ts"
import { expectEmpty, push } from "./push.ts"
import { type RemoteOptions, remoteOf } from "./remote.ts"
import { Staging } from "./staging.ts"

export interface GitTargetOptions extends RemoteOptions, GitOptions {
  /** Folder, absolute, for what is staged: as large as the repository. Made if it is not there; emptied at the end. */
  readonly staging: string
  /** Push also into a repository that has refs. None is replaced: what differs is a problem. */
  readonly intoExisting?: boolean
}

/**
 * The way back. The run holds one repository, in a folder `<any name>.git`; its refs are pushed to `url`, HEAD's branch first,
 * and LFS objects before them. An interrupted restore is gone on with from what is staged.
 *
 * Throws `conflict` for a remote that is not empty, `usage` for a run that holds none or several repositories, and what
 * git meets as `gitSource` does. A ref that the server refuses is a problem of `finish`.
 */
export function gitTarget(options: GitTargetOptions): Target {
  const remote = remoteOf(options)
  const staging = new Staging(options.staging)
  let repository: string | null = null
  const expectOne = (path: string): void => {
    const [top = ""] = path.split("/")
    if (top === "." || top === repository) return
    if (repository !== null || !top.endsWith(".git")) throw notOne(top)
    repository = top
  }
  return {
    async begin(what, signal) {
      if (options.intoExisting !== true) {
        await using git = await Git.open(remote, options)
        await expectEmpty(git, signal)
      }
      await staging.begin(what)
    },
    async has(entry, signal) {
      expectOne(entry.path)
      return await staging.has(entry, signal)
    },
    write: (entry, offset, bytes) => staging.write(entry, offset, bytes),
    read: (entry) => staging.read(entry),
    commit: (entry) => staging.commit(entry),
    discard: (entry) => staging.discard(entry),
    async make(entry) {
      // Folders are made with what lies in them. What has no content was recorded as missing when it was backed up.
      expectOne(entry.path)
    },
    async finish(signal) {
      if (repository === null) throw notOne("nothing")
      await using git = await Git.open(remote, options)
      const problems = await push(git, join(staging.path, "files", repository), staging.path, signal)
      await staging.remove()
      return problems
    },
  }
}

function notOne(found: string): BackupError {
  const what = escapeControl(fromByteString(found))
  return new BackupError("usage", `${what}: is not the one repository of the restore; nothing was pushed`, {
    hint: "choose one with --path 'name.git/**', or restore into a directory and push from there",
  })
}
