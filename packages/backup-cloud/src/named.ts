// Files that a person named.

import { access, readFile } from "node:fs/promises"
import { BackupError } from "@backup-cloud/format"

/** Reads a file a person named. Throws `not-found` or `usage`, naming it. */
export async function readNamed(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    const absent = cause instanceof Error && "code" in cause && cause.code === "ENOENT"
    throw new BackupError(
      absent ? "not-found" : "usage",
      `${file} ${absent ? "is not there" : "cannot be read"}; nothing was done`,
      {
        cause,
      },
    )
  }
}

/** Throws `conflict` if `file` is there: asked before work whose result would have no place. */
export async function expectAbsent(file: string): Promise<void> {
  try {
    await access(file)
  } catch {
    return
  }
  throw new BackupError("conflict", `${file} is there already; nothing was done`)
}
