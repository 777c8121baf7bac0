// A restore into a PostgreSQL server from the command line.

import { fromByteString } from "@backup-cloud/format"
import { fileContent, type RestorePlan } from "@backup-cloud/restore"
import type { OpenRun } from "backup-cloud/parts/releases"
import { installed } from "./installed.ts"
import { size } from "./io.ts"
import type { PasswordPlace } from "./passwords.ts"
import { postgresAccess } from "./postgres.ts"
import type { Session } from "./session.ts"

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
