// What the directory store needs of the file system: opening without following links, syncing folders, and the
// translation of system errors into faults.

import { constants } from "node:fs"
import { type FileHandle, lstat, open } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"

/** The system's name of the error, such as `ENOENT`; `""` if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""
}

/** True if the error says that there is nothing under that name. */
export function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(codeOf(error))
}

const REFUSED = ["EACCES", "EPERM", "EROFS", "ELOOP", "ENAMETOOLONG", "EISDIR", "ENOTDIR"]

/** The error as a fault that names the object; one that is a fault already, or a defect, as it is. */
export function fileFault(object: string, error: unknown, where = "the archive"): unknown {
  const code = codeOf(error)
  if (error instanceof BackupError || code === "") return error
  const options = (hint?: string) => (hint === undefined ? { cause: error } : { cause: error, hint })
  if (code === "ENOENT") return new BackupError("not-found", `${object}: it is not there`, options())
  if (REFUSED.includes(code))
    return new BackupError("refused", `${object}: the file system refuses (${code})`, options())
  const full = code === "ENOSPC" || code === "EDQUOT" ? `free some space on the disk that holds ${where}` : undefined
  return new BackupError("unavailable", `${object}: the file system failed (${code})`, options(full))
}

/** Throws `refused` if a folder between the archive and the object is a symbolic link, else what lstat throws. */
export async function parentsOf(root: string, name: string): Promise<void> {
  let folder = root
  for (const segment of name.split("/").slice(0, -1)) {
    folder = join(folder, segment)
    if ((await lstat(folder)).isSymbolicLink()) {
      throw new BackupError("refused", `${name}: ${folder} is a symbolic link, which an archive must not hold`)
    }
  }
}

/** Opens a file whose last segment must not be a symbolic link, nor a fifo that would block. */
export function openArchiveFile(file: string, flags: number): Promise<FileHandle> {
  return open(file, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK)
}

/** Makes what was created or removed in a folder survive a crash. */
export async function syncDirectory(folder: string): Promise<void> {
  await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } catch (error) {
    // Some network file systems know no fsync of a folder; they order such changes themselves.
    if (!["EINVAL", "ENOTSUP", "EBADF"].includes(codeOf(error))) throw error
  }
}
