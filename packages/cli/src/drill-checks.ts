// What a drill does with a run besides restoring it into files: the owner's own check, and a server that it is loaded into.

import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Drill } from "@backup-cloud/drill"
import { BackupError, escapeControl, isFault } from "@backup-cloud/format"
import { restore } from "@backup-cloud/restore"
import { installed } from "./installed.ts"
import { checkedPlace, isPostgres, openTarget, placeOf, shellCommand } from "./kinds.ts"
import { mysqlAccess } from "./mysql.ts"
import type { PasswordPlace } from "./passwords.ts"
import { restoreIntoPostgres } from "./postgres-restore.ts"
import type { Session } from "./session.ts"

/** A shell command in the folder of what was restored: all is well if it exits with 0. Throws `usage` before it is needed. */
export async function ownersCheck(
  session: Session,
  script: string,
  signal: AbortSignal,
): Promise<NonNullable<Drill["check"]>> {
  const { Running } = await installed("source-command", () => import("@backup-cloud/source-command"))
  return async (root) => {
    const { kill } = session.io
    const onLine = (_: string, line: string): void => {
      session.note(`check: ${line}`)
    }
    const running = new Running("check", { command: shellCommand(script), cwd: root }, "in", { kill, onLine })
    const stop = (): void => void running.stop("SIGTERM")
    signal.addEventListener("abort", stop, { once: true })
    running.stdin?.on("error", () => undefined).end()
    try {
      await running.success("the check did not find all well")
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!isFault(error, "incomplete")) throw error
      session.note(error.message)
      return false
    } finally {
      signal.removeEventListener("abort", stop)
    }
  }
}

export interface ServerOptions {
  readonly password: PasswordPlace
  /** Of mysql: replace what an earlier drill left. */
  readonly overwrite: boolean
}

/**
 * Loads the run into a database server and compares the rows of each table with what the dump says. Throws `usage` before it
 * is needed.
 */
export async function serverLoad(
  session: Session,
  to: string,
  options: ServerOptions,
  signal: AbortSignal,
): Promise<NonNullable<Drill["load"]>> {
  if (isPostgres(to)) {
    await checkedPlace(to, session.io.env)
    return async ({ plan, entries, view }) => {
      await restoreIntoPostgres(session, { entries, view }, plan, to, { ...options.password, intoExisting: false })
    }
  }
  const place = /^mysql:/.test(to) ? placeOf(to, session.io.env) : null
  if (place?.kind !== "mysql")
    throw new BackupError("usage", `${escapeControl(to)} is no database server; nothing was drilled`, {
      hint: "a drill restores into a scratch place by itself; --to takes postgres://… or mysql://…, and loads that as well",
    })
  const { compareRows, ROWS_FILE } = await installed("source-mysql", () => import("@backup-cloud/source-mysql"))
  return async ({ plan, view, root }) => {
    const more = { intoExisting: false, setId: false, devices: false, weakerEncryption: false }
    const { target } = await openTarget(session, to, { ...more, ...options })
    const { problems } = await restore({ view, plan, target, what: "drill", signal, onEvent: () => undefined })
    const [problem] = problems.filter(({ expected }) => !expected)
    if (problem !== undefined) throw new BackupError("differs", `${problem.path}: ${problem.why}`)
    const facts = await readFile(join(root, ROWS_FILE), "utf8").catch((cause: unknown) => {
      throw new BackupError("differs", "the run does not say which rows there were", { cause })
    })
    const rows = await compareRows(facts, mysqlAccess(session, place.host, place, options.password), signal)
    session.say(`Loaded into ${place.host}: ${rows} rows, as many as there were in each table.`)
  }
}
