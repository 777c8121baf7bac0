// A password on its way to the programs of PostgreSQL: a file in memory that has lost its name before the password is
// written, which a program opens as /dev/fd/3, as often as it likes. So it is in no argument, in no environment, on no disk,
// and gone with the last process that has it open, also after a kill.

import { type FileHandle, mkdtemp, open, rm, statfs } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"

/** Where memory is to be had as files. */
export const MEMORY = "/dev/shm"

/** `f_type` of tmpfs and ramfs, in statfs(2). */
const IN_MEMORY = new Set([0x01021994, 0x858458f6])

/**
 * An open file that libpq takes as PGPASSFILE: the password for whatever server it is started for. The caller closes it.
 * Throws `usage` for a password with a line end or a NUL; `unavailable` where `folder` is not in memory or is full.
 */
export async function passwordFile(password: string, folder: string): Promise<FileHandle> {
  if (/[\n\r\0]/.test(password) || password === "") {
    throw new BackupError("usage", "the password is empty or more than one line; nothing was done", {
      hint: "a password file holds the password and at most one line end",
    })
  }
  const unavailable = (why: string, cause?: unknown): never => {
    throw new BackupError("unavailable", `${folder} ${why}; no program was given the password`, {
      cause,
      hint: "mount a tmpfs there: a password is kept in memory only",
    })
  }
  const fileSystem = await statfs(folder).catch((cause: unknown) => unavailable("cannot be used", cause))
  if (!IN_MEMORY.has(fileSystem.type)) unavailable("is no file system in memory")
  let handle: FileHandle | null = null
  try {
    const place = await mkdtemp(join(folder, "backup-cloud-"))
    try {
      handle = await open(join(place, "password"), "wx+", 0o600)
    } finally {
      await rm(place, { recursive: true })
    }
    await handle.writeFile(`*:*:*:*:${password.replace(/[\\:]/g, "\\$&")}\n`)
    return handle
  } catch (cause) {
    await handle?.close()
    return unavailable("took no file", cause)
  }
}
