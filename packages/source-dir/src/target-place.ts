// Where a restore may write: names below one root, reached only through directories that are directories. A directory
// made here is 0700 until the end, so nobody else can change what was checked; in one that was there before, whoever
// may write in it could swap a name between check and use. Restore into places that only you can write.

import * as fs from "node:fs"
import { BackupError, escapeControl, fromByteString, isSafePath, toByteString } from "@backup-cloud/format"

/** A path for `node:fs`: a string where it is ASCII, bytes where it is not. */
export type Native = string | Buffer

const ascii = /^[\x20-\x7e]*$/

/** @param bytes byte string */
export function native(bytes: string): Native {
  return ascii.test(bytes) ? bytes : Buffer.from(bytes, "latin1")
}

/** A path for messages. */
export function shown(path: string): string {
  return escapeControl(fromByteString(path))
}

/** An error of the file system as a fault that names the entry. */
export function translated(error: unknown, path: string): BackupError {
  if (error instanceof BackupError) return error
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
  const name = shown(path)
  if (code === "EEXIST" || code === "ENOTEMPTY")
    return new BackupError("conflict", `${name}: something with this name is there already`, {
      cause: error,
      hint: "nothing was overwritten; restore to an empty directory",
    })
  if (code === "EACCES" || code === "EPERM" || code === "ELOOP" || code === "ENOTDIR")
    return new BackupError("refused", `${name}: cannot be written here (${code})`, { cause: error })
  const hint = code === "ENOSPC" || code === "EDQUOT" ? { hint: "make room, then run the same command again" } : {}
  return new BackupError("unavailable", `${name}: cannot be written (${code}); it was not restored`, {
    cause: error,
    ...hint,
  })
}

export class Place {
  /** Byte string, absolute. */
  readonly root: string
  /** Whether something may be there already: then each parent is looked at, and names are never replaced. */
  shared = false
  /** A name at the top that no entry may have. */
  reserved = ""
  readonly #directories = new Set<string>()

  /** @param root absolute path */
  constructor(root: string) {
    this.root = toByteString(root)
  }

  /** The absolute byte string of `path`, after its parents were found to be directories. Throws `refused`. */
  resolve(path: string): string {
    if (path === ".") return this.root
    const known = path.slice(0, Math.max(0, path.lastIndexOf("/")))
    if (!isSafePath(path) || path === this.reserved || path.startsWith(`${this.reserved}/`))
      throw new BackupError("refused", `${shown(path)}: this name reaches where a restore must not write`)
    if (known !== "" && !this.#directories.has(known)) this.#look(known)
    return `${this.root}/${path}`
  }

  /** `path` is a directory that this restore made. */
  made(path: string): void {
    this.#directories.add(path)
  }

  #look(path: string): void {
    const parts = path.split("/")
    for (let i = 1; i <= parts.length; i++) {
      const part = parts.slice(0, i).join("/")
      if (this.#directories.has(part)) continue
      const stat = this.shared ? this.stat(part) : null
      if (stat?.isDirectory() !== true)
        throw new BackupError("refused", `${shown(path)}: is not a directory, so nothing is written below it`)
      this.#directories.add(part)
    }
  }

  /** What has the name now, links not followed; `null` for nothing. */
  stat(path: string): fs.Stats | null {
    return fs.lstatSync(native(`${this.root}/${path}`), { throwIfNoEntry: false }) ?? null
  }
}
