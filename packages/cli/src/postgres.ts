// PostgreSQL on the command line: how a server is reached, which databases are meant, and a restore into a server.

import { escapeControl, fromByteString } from "@backup-cloud/format"
import { fileContent, type RestorePlan } from "@backup-cloud/restore"
import { globs } from "@backup-cloud/source-dir"
import type { PostgresAccess } from "@backup-cloud/source-postgres"
import type { OpenRun } from "backup-cloud/parts"
import { installed } from "./installed.ts"
import { size } from "./io.ts"
import { type PasswordPlace, passwordOf } from "./passwords.ts"
import type { Session } from "./session.ts"

/** @param what is reached, for what programs say and for messages */
export function postgresAccess(session: Session, what: string, url: string, place: PasswordPlace): PostgresAccess {
  const password = passwordOf(session, what, place)
  return {
    url,
    ...(password === undefined ? {} : { password }),
    env: session.io.env,
    kill: session.io.kill,
    onLine: (database, line) => {
      session.note(`${what}: ${escapeControl(database)}: ${line}`)
    },
  }
}

/** Whether a database is to be backed up, by the globs of the configuration; `null` where it has none. */
export function chosenNames({
  include = [],
  exclude = [],
}: {
  readonly include?: readonly string[] | undefined
  readonly exclude?: readonly string[] | undefined
}): ((name: string) => boolean) | null {
  if (include.length + exclude.length === 0) return null
  const chosen = globs(include, exclude)
  return (name) => chosen.judge(Buffer.from(name, "utf8").toString("latin1"), false, false) === "take"
}

/** Databases, and what the server lacks of roles, into a server. */
export async function restoreIntoPostgres(
  session: Session,
  open: Pick<OpenRun, "entries" | "view">,
  plan: RestorePlan,
  to: string,
  options: PasswordPlace & { readonly intoExisting: boolean },
): Promise<void> {
  const { io } = session
  const signal = AbortSignal.any([io.signal, io.stop])
  const { restoreDatabases } = await installed("source-postgres", () => import("@backup-cloud/source-postgres"))
  const chosen = new Set([...plan.entries].filter((entry) => entry.type === "f").map((entry) => entry.path))
  const files = async function* () {
    // The plan keeps no chunks: they are read as they are wanted.
    for await (const entry of open.entries()) {
      if (!chosen.has(entry.path)) continue
      const path = fromByteString(entry.path)
      yield { path, size: entry.size, content: () => fileContent(open.view, entry, signal) }
    }
  }
  let databases = 0
  await restoreDatabases(
    files,
    {
      ...postgresAccess(session, "restore", to, options),
      intoExisting: options.intoExisting,
      erase: open.view.erasing.sql,
      random: io.random,
      onEvent(event) {
        session.event(event)
        if (event.event === "kept") {
          session.note(`${event.what} was there and stays as it is`)
          return
        }
        if (event.event === "erased") {
          session.say(`Database ${event.name}: the SQL of erasure ${event.number} was run in it.`)
          return
        }
        databases++
        const how = event.created ? "" : "; it was there, and keeps its own settings"
        const rows = event.rows === null ? "rows not counted" : `${event.rows} rows`
        session.say(`Database ${event.name}: ${rows}, a dump of ${size(event.bytes)}${how}.`)
      },
    },
    signal,
  )
  session.say(`Restored ${databases} databases.`)
  session.event({ event: "result", databases, leftOut: open.view.erasing.leftOut })
}
