// PostgreSQL on the command line: how a server is reached, and which databases are meant.

import { escapeControl, globs } from "@backup-cloud/format"
import type { PostgresAccess } from "@backup-cloud/source-postgres"
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
