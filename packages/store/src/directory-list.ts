// Lists a directory as an object store would: whole names in order of their bytes, one folder in memory at a time for
// each level. Symbolic links and other special files are refused by name: an archive holds none, and following one could
// lead out of it. Hidden names are the store's own and are left out.

import { type Dirent, type Stats } from "node:fs"
import { lstat, readdir } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import { fileFault, isAbsent, parentsOf } from "./directory-files.ts"
import { compareNames } from "./names.ts"
import type { ObjectInfo } from "./ports.ts"

/** Files looked at together; more than the threads that do it gives nothing. */
const TOGETHER = 32

/** All files below `root` whose name begins with `prefix`. */
export async function* listDirectory(root: string, prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1)
  if (folder.split("/").some((part) => part.startsWith("."))) return
  try {
    await parentsOf(root, prefix)
  } catch (error) {
    if (isAbsent(error)) return
    throw fileFault(prefix, error)
  }
  yield* below(root, folder, prefix, signal)
}

async function* below(root: string, folder: string, prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
  const entries = (await entriesOf(root, folder))
    .filter((entry) => !entry.name.startsWith("."))
    .map((entry) => ({ entry, key: folder + entry.name + (entry.isDirectory() ? "/" : "") }))
    // A folder stands where the names below it do: `a-b` comes before `a/b`.
    .filter(({ key }) => key.startsWith(prefix) || prefix.startsWith(key))
    .sort((a, b) => compareNames(a.key, b.key))
  for (let at = 0; at < entries.length; at += TOGETHER) {
    const together = entries.slice(at, at + TOGETHER)
    const looks = await Promise.all(
      together.map(async ({ entry, key }) => (entry.isDirectory() ? null : await look(root, key))),
    )
    for (const [index, { entry, key }] of together.entries()) {
      signal.throwIfAborted()
      const info = looks[index] ?? null
      if (entry.isDirectory()) yield* below(root, key, prefix, signal)
      else if (info !== null) yield { name: key, size: info.size, arrived: info.mtime }
    }
  }
}

async function entriesOf(root: string, folder: string): Promise<Dirent[]> {
  try {
    return await readdir(join(root, folder), { withFileTypes: true })
  } catch (error) {
    // Removed since its parent was read, or never there.
    if (isAbsent(error)) return []
    throw fileFault(folder, error)
  }
}

async function look(root: string, name: string): Promise<Stats | null> {
  try {
    const found = await lstat(join(root, name))
    if (found.isFile()) return found
  } catch (error) {
    if (isAbsent(error)) return null
    throw fileFault(name, error)
  }
  throw new BackupError("refused", `${name} is a symbolic link or special file, which an archive must not hold`)
}
