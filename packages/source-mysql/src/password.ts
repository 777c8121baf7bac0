// Where a password comes from: a file that only its owner can read, or a command that prints it, such as one that asks a
// cloud for a token. It is kept in memory for a while, so that not every dump asks anew.

import { execFile } from "node:child_process"
import { readFile, stat } from "node:fs/promises"
import { BackupError, escapeControl } from "@backup-cloud/format"

export type PasswordPlace =
  | { readonly file: string }
  /** Program and arguments; what it prints, less the line's end, is the password. It has this process's environment. */
  | { readonly command: readonly string[] }

/** Milliseconds that one is used: tokens of RDS let connect for fifteen minutes. */
const GOOD_FOR = 300_000

/**
 * Gives the password when it is asked. It then throws `usage` for a file that others can read or that is not there, and
 * `unavailable` for a command that fails, never with what it printed.
 */
export function passwordFrom(place: PasswordPlace, now: () => Date): (signal: AbortSignal) => Promise<string> {
  let held: { readonly password: Promise<string>; readonly since: number } | null = null
  return (signal) => {
    const time = now().getTime()
    if (held !== null && time - held.since < GOOD_FOR) return held.password
    const password = "file" in place ? ofFile(place.file) : ofCommand(place.command, signal)
    held = { password, since: time }
    password.catch(() => {
      held = null
    })
    return password
  }
}

async function ofFile(file: string): Promise<string> {
  const wrong = (why: string, hint: string, cause?: unknown): never => {
    throw new BackupError("usage", `${escapeControl(file)} ${why}; the server was not asked`, { cause, hint })
  }
  try {
    const { mode } = await stat(file)
    if ((mode & 0o077) !== 0) wrong("can be read by others", "chmod 600 FILE")
    return withoutLineEnd(await readFile(file, "utf8"))
  } catch (error) {
    if (error instanceof BackupError) throw error
    return wrong("cannot be read", "name the file that holds the password", error)
  }
}

function ofCommand([program = "", ...args]: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { signal, encoding: "utf8" }, (error, stdout, stderr) => {
      const printed = withoutLineEnd(stdout)
      if (error === null && printed !== "") {
        resolve(printed)
        return
      }
      if (signal.aborted) {
        reject(signal.reason as Error)
        return
      }
      // The error of Node.js holds the arguments and all that was printed: it is no cause to be shown.
      const said = stderr.trim() === "" ? "" : `; it said: ${escapeControl(stderr.trim().slice(-300))}`
      const how = error === null ? "printed nothing" : "failed"
      reject(
        new BackupError("unavailable", `the command for the password ${how}; the server was not asked${said}`, {
          hint: "run it by itself",
        }),
      )
    })
  })
}

const withoutLineEnd = (text: string): string => text.replace(/\r?\n$/, "")
