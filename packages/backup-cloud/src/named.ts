// Files that a person named.

import { access, link, open, readFile, rename, rm } from "node:fs/promises"
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

/**
 * Makes a file that appears whole or not at all, mode 0600, and is on the disk when this resolves.
 * Throws `conflict` if it is there already, `usage` if it cannot be made, and what `fill` throws; then nothing of it stays.
 * @param random some bytes, for a name beside it meanwhile
 */
export async function makeWhole<T>(
  file: string,
  random: (bytes: number) => Uint8Array,
  fill: (handle: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T> {
  await expectAbsent(file)
  const part = `${file}.${Buffer.from(random(4)).toString("hex")}.part`
  const cannot = (cause: unknown): never => {
    throw new BackupError("usage", `${file} cannot be made; nothing was done`, { cause })
  }
  try {
    await using handle = await open(part, "wx+", 0o600).catch(cannot)
    const result = await fill(handle)
    await handle.sync()
    await putInPlace(part, file)
    return result
  } finally {
    await rm(part, { force: true })
  }
}

async function putInPlace(part: string, file: string): Promise<void> {
  try {
    await link(part, file)
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : ""
    if (code === "EPERM" || code === "ENOTSUP" || code === "EOPNOTSUPP") {
      // A file system without hard links.
      await expectAbsent(file)
      await rename(part, file)
      return
    }
    if (code === "EEXIST") throw new BackupError("conflict", `${file} is there already; nothing was done`)
    throw error
  }
}
