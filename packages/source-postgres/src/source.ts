// Databases of a PostgreSQL server as a source: of each one its content, how it was made, and the facts; then the roles and
// tablespaces of the whole server, so that a role made meanwhile is there when something belongs to it.
//
// Not promised: that databases are of the same moment. PostgreSQL has no snapshot of more than one.

import { BackupError, pathKey, type Source, type SourceEntry } from "@backup-cloud/format"
import { brokenOff, Dump, dumped, RAW } from "./dump.ts"
import { FOLDER, folderOf, GLOBALS, PARTS } from "./paths.ts"
import { type PostgresAccess, Server } from "./server.ts"
import { Session } from "./session.ts"

export interface PostgresSourceOptions extends PostgresAccess {
  /** Which of all databases; absent where the URL names one. */
  readonly chosen?: (database: string) => boolean
  /** False where the role may not see the password hashes of roles: then roles come back without any. */
  readonly rolePasswords?: boolean
  /** Becomes the time of every entry. */
  readonly now: () => Date
}

/** Neither templates nor what nobody can connect to. */
const DATABASES = `select coalesce(jsonb_agg(datname order by datname), '[]') from pg_database
  where datallowconn and not datistemplate and datconnlimit <> -2`

/**
 * Everything is read in each run; what is the same is not stored again. `entries` throws `refused` or `unavailable` if the
 * server does not let us in or does not answer, `not-found` if no database is chosen. Content throws `incomplete` if a
 * program fails, is killed, or ends before it says that the dump is complete.
 *
 * Throws `usage` for an address that is none, and for one database of which some are to be chosen.
 */
export function postgresSource(options: PostgresSourceOptions): Source {
  const server = new Server(options)
  if (server.address.database !== null && options.chosen !== undefined)
    throw new BackupError("usage", "the address names one database, of which none can be chosen; nothing was done", {
      hint: "leave include and exclude out, or the name in the address",
    })
  const entries = async function* (signal: AbortSignal): AsyncGenerator<SourceEntry[], void, undefined> {
    const databases = await list(server, options, signal)
    const mtime = `${Math.floor(options.now().getTime() / 1000)}.000000000`
    const folder = (path: string): SourceEntry => ({
      ...plain,
      type: "d",
      mode: 0o700,
      path,
      mtime,
      size: 0,
      content: null,
    })
    const file = (path: string, read: Read): SourceEntry => ({
      ...{ ...plain, type: "f", mode: 0o600, path, mtime, size: null },
      content: { kind: "stream", open: async (s) => ({ attributes: new Map(), bytes: read(s) }) },
    })
    const listed = databases.flatMap((database) => {
      const dump = new Dump(server, database)
      const path = folderOf(database)
      return [folder(path), ...PARTS.map((part) => file(`${path}/${part}`, (s) => dump.read(part, s)))]
    })
    const globals = file(GLOBALS, (s) => readGlobals(server, options, s))
    yield [folder("."), folder(FOLDER), ...listed, globals].sort((a, b) => (pathKey(a.path) < pathKey(b.path) ? -1 : 1))
  }
  return { kind: "postgres", identity: [], entries }
}

type Read = (signal: AbortSignal) => AsyncIterable<Uint8Array>

const plain = { uid: 0, gid: 0, link: null, attributes: new Map<string, string>() }

async function list(server: Server, options: PostgresSourceOptions, signal: AbortSignal): Promise<string[]> {
  await using session = await Session.open(server, server.maintenance, signal)
  if (server.address.database !== null) return [server.address.database]
  const { chosen = () => true } = options
  const found = ((await session.ask(DATABASES)) as string[]).filter(chosen)
  if (found.length > 0) return found
  throw new BackupError("not-found", "no database of the server is chosen; nothing was backed up", {
    hint: "look at include and exclude of the source",
  })
}

async function* readGlobals(
  server: Server,
  { rolePasswords = true }: PostgresSourceOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { maintenance } = server
  const command = ["pg_dumpall", "-w", "--globals-only", RAW, "-d", `dbname=${quoteValue(maintenance)}`]
  if (!rolePasswords) command.push("--no-role-passwords")
  try {
    yield* dumped(server, maintenance, command, signal)
  } catch (error) {
    throw brokenOff(error, "the roles of the server are not backed up")
  }
}

/** A value of a connection string. */
function quoteValue(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`
}
