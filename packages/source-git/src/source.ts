// A repository on any server as a source: a mirror of it with all refs and LFS objects, fetched at the start of the run
// into a folder that is kept between runs, then backed up as the bare repository it is.

import type { Source } from "@backup-cloud/format"
import { CONTENT, folder, mirrorEntries } from "./entries.ts"
import { Git, type GitOptions } from "./git.ts"
import { updateMirror } from "./mirror.ts"
import { type RemoteOptions, remoteOf } from "./remote.ts"

export interface GitSourceOptions extends RemoteOptions, GitOptions {
  /** Folder of the mirror, absolute; made with mode 0700. Not to be shared: one source, one process at a time. */
  readonly cache: string
}

/**
 * The source of one repository, at `<name>.git`. Throws `usage` for a URL that is none, `refused` for a credential that
 * would go over the network in the clear.
 *
 * `entries` throws `refused`, `not-found` or `unavailable` where the server does not give it, and `incomplete` if git
 * breaks off. An LFS object that the server has not is listed with the error `LFS-object-missing`.
 */
export function gitSource(options: GitSourceOptions): Source {
  const remote = remoteOf(options)
  return {
    kind: "git",
    identity: [CONTENT],
    async *entries(signal) {
      await using git = await Git.open(remote, options)
      const mirror = await updateMirror(git, options.cache, signal)
      yield [folder("."), ...(await mirrorEntries(mirror, remote.url, `${remote.name}.git`))]
    },
  }
}
