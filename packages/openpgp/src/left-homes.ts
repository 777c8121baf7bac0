// Temporary GnuPG homes of processes that were killed: what such a process leaves, a folder with what a door put there and
// perhaps an agent, the next one removes. Each home says which process made it, and only those are touched that are this
// user's, say so, and whose process has ended.

import { lstat, readdir, readFile, writeFile } from "node:fs/promises"
import { userInfo } from "node:os"
import { join } from "node:path"
import { lifeOf, processMark } from "@backup-cloud/format"

export const PREFIX = "bc-"
const NAME = new RegExp(`^${PREFIX}[A-Za-z0-9]{6}$`)
const OWNER = "process"

/** Says in a new home that this process made it. */
export async function markHome(path: string): Promise<void> {
  const mark = await processMark()
  if (mark !== null) await writeFile(join(path, OWNER), mark, { mode: 0o600 })
}

/** The homes in `parent` that are left over. */
export async function leftHomes(parent: string): Promise<string[]> {
  const found = (await readdir(parent).catch(() => [])).filter((name) => NAME.test(name))
  const left = await Promise.all(found.map((name) => isLeft(join(parent, name))))
  return found.filter((_, i) => left[i]).map((name) => join(parent, name))
}

async function isLeft(path: string): Promise<boolean> {
  try {
    const stats = await lstat(path)
    if (!stats.isDirectory() || stats.uid !== userInfo().uid) return false
    return (await lifeOf(await readFile(join(path, OWNER), "latin1"))) === "ended"
  } catch {
    return false
  }
}
