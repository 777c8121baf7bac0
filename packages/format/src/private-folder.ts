// A private folder in memory for what programs read secrets from, or put out in the clear: 0700, removed at the end. Of a
// process that was killed it stays, and the next one removes it.

import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "./faults.ts"
import { lifeOf, processMark } from "./process-mark.ts"

/** Memory-backed, so that nothing written there reaches a disk but by swapping. */
const MEMORY = "/dev/shm"
const OWNER = "owner"

export interface PrivateFolder extends AsyncDisposable {
  readonly path: string
}

/**
 * Makes a folder. Throws `unavailable` where there is no memory-backed storage.
 * @param prefix what its name begins with; those that ended processes left are removed
 * @param holds what lies there, for the error
 */
export async function privateFolder(prefix: string, holds: string): Promise<PrivateFolder> {
  await sweep(prefix)
  try {
    const path = await mkdtemp(join(MEMORY, prefix))
    await chmod(path, 0o700)
    await writeFile(join(path, OWNER), (await processMark()) ?? "", { mode: 0o600 })
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
  } catch (cause) {
    throw new BackupError("unavailable", `${MEMORY}: no private folder can be made there; nothing was read`, {
      cause,
      hint: `${holds} in memory: mount a tmpfs at ${MEMORY}`,
    })
  }
}

/** Removes what processes left that have ended. Folders of others, and what cannot be judged, stay. */
async function sweep(prefix: string): Promise<void> {
  const names = await readdir(MEMORY).catch(() => [])
  for (const name of names) {
    if (!name.startsWith(prefix)) continue
    const path = join(MEMORY, name)
    try {
      const mark = await readFile(join(path, OWNER), "latin1")
      if ((await lifeOf(mark)) !== "ended" || !(await stat(path)).isDirectory()) continue
      await rm(path, { recursive: true, force: true })
    } catch {
      // It is another user's, or another process removed it.
    }
  }
}
