// A password that the configuration only says how to come by: a file, or a command that puts it out. It is read when it
// is wanted, since a token does not live long, and told to nobody but who asked.

import { execFile } from "node:child_process"
import { readFile, stat } from "node:fs/promises"
import { resolve } from "node:path"
import { BackupError, escapeControl } from "@backup-cloud/format"
import type { Session } from "./session.ts"

export interface PasswordPlace {
  readonly password_file?: string | undefined
  /** Run by the shell, with the environment of this program. */
  readonly password_command?: string | undefined
}

const MOST = 65_536
/** Milliseconds that what a command gave is used: a token for RDS lets connect for fifteen minutes. */
const GOOD_FOR = 300_000

/** What the options of a command say of it: --password-file, --password-command. @param cwd of a file that is not absolute */
export function passwordPlace(options: Readonly<Record<string, unknown>>, cwd: string): PasswordPlace {
  const { passwordFile, passwordCommand } = options
  return {
    ...(typeof passwordFile === "string" ? { password_file: resolve(cwd, passwordFile) } : {}),
    ...(typeof passwordCommand === "string" ? { password_command: passwordCommand } : {}),
  }
}

/**
 * `undefined` if no place is given: then it is as the client of the server finds it. Throws `usage` for two places. What it
 * gives throws `usage` for a file that cannot be read or that others can read, `unavailable` for a command that fails.
 * @param what it is the password of, for messages
 */
export function passwordOf(
  session: Session,
  what: string,
  { password_file: file, password_command: command }: PasswordPlace,
): ((signal: AbortSignal) => Promise<string>) | undefined {
  if (file !== undefined && command !== undefined)
    throw new BackupError("usage", `${what} has a password file and a password command; nothing was done`, {
      hint: "leave one of them out",
    })
  const { env, cwd, now } = session.io
  if (file !== undefined) return async () => await fromFile(resolve(cwd, file))
  if (command === undefined) return undefined
  let held: { readonly password: Promise<string>; readonly since: number } | null = null
  return async (signal) => {
    const time = now().getTime()
    if (held === null || time - held.since >= GOOD_FOR)
      held = { password: fromCommand(what, command, { env, cwd, signal }), since: time }
    try {
      return await held.password
    } catch (error) {
      held = null
      throw error
    }
  }
}

async function fromFile(file: string): Promise<string> {
  const shown = escapeControl(file)
  try {
    const { mode, size } = await stat(file)
    if ((mode & 0o077) !== 0)
      throw new BackupError("usage", `${shown} can be read by others, so its password is not used`, {
        hint: `chmod 600 ${shown}, and take another password`,
      })
    if (size > MOST) throw new BackupError("usage", `${shown} is too large for a password`)
    return withoutEnd(await readFile(file, "utf8"))
  } catch (cause) {
    if (cause instanceof BackupError) throw cause
    throw new BackupError("usage", `the password file ${shown} cannot be read; nothing was done`, { cause })
  }
}

async function fromCommand(
  what: string,
  command: string,
  options: { env: Session["io"]["env"]; cwd: string; signal: AbortSignal },
): Promise<string> {
  const { promise, resolve: ended, reject } = Promise.withResolvers<string>()
  execFile("/bin/sh", ["-c", command], { ...options, maxBuffer: MOST, encoding: "utf8" }, (error, stdout) => {
    if (error === null && withoutEnd(stdout) !== "") {
      ended(withoutEnd(stdout))
      return
    }
    if (options.signal.aborted) {
      reject(options.signal.reason as Error)
      return
    }
    // Neither what it said nor the command is told: both may hold what they should not.
    const how =
      error === null
        ? "nothing put out"
        : typeof error.code === "number"
          ? `exit status ${error.code}`
          : String(error.signal ?? error.code)
    reject(
      new BackupError("unavailable", `the password command of ${what} ended with ${how}; nothing was done`, {
        hint: "run the command of password_command by itself and mend what it says",
      }),
    )
  })
  return await promise
}

const withoutEnd = (text: string): string => text.replace(/\r?\n$/, "")
