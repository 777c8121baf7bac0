// A server, or some of its schemas, as a source: files of SQL, from dumps that are read as they are wanted, one at a time.
//
// Tables with a transactional engine are of one moment, all of them. Not promised: the same moment for other tables (told on the
// way), for what changes tables themselves, and for routines, triggers, events, views and users, which no transaction holds.

import { pathKey, type Source } from "@backup-cloud/format"
import { checkAccess, type MysqlAccess } from "./access.ts"
import { codeDump, TablesDump, usersDump } from "./dump.ts"
import { entryMaker, factsText } from "./entries.ts"
import { entriesByMydumper, type MydumperOptions } from "./mydumper-source.ts"
import { FACTS, FOLDERS, USERS } from "./paths.ts"
import { inspect, type ServerFacts } from "./server.ts"
import { type FoundTool, findTool } from "./tool.ts"

export interface MysqlSourceOptions extends MysqlAccess {
  /** All but the server's own, and then users too, if it is empty. */
  readonly schemas: readonly string[]
  /** Lets a server elsewhere be spoken to without TLS. */
  readonly allowClear?: boolean
  /** Becomes the time of every entry. */
  readonly now: () => Date
  /** Rows are dumped by that program, many tables at the same time. */
  readonly mydumper?: MydumperOptions
}

/**
 * Everything is read in each run. Throws `usage` for options that cannot be meant; `entries` throws `refused` for a wrong
 * password and missing rights, `not-found` for a schema, `unavailable` for a server that does not answer or a program that is
 * not installed. Content throws `incomplete` if a dump broke off.
 */
export function mysqlSource(options: MysqlSourceOptions): Source {
  checkAccess(options, options.allowClear ?? false)
  return {
    kind: "mysql",
    identity: [],
    async *entries(signal) {
      const client = await findTool("client", options.path)
      const tool = await findTool("dump", options.path)
      const facts = await inspect(client, options, options.schemas, signal)
      warn(tool, facts, options)
      if (options.mydumper !== undefined) {
        yield* entriesByMydumper({ client, tool, facts, options, mydumper: options.mydumper, signal })
        return
      }
      const listed = listing(tool, facts, options)
      const stop = (): void => void listed.tables.stop()
      signal.addEventListener("abort", stop, { once: true })
      yield listed.entries.sort((a, b) => (pathKey(a.path) < pathKey(b.path) ? -1 : 1))
    },
  }
}

function warn({ flavour }: FoundTool, { unsteady }: ServerFacts, { onLine, schemas }: MysqlSourceOptions): void {
  if (schemas.length === 0 && flavour === "mysql")
    onLine("users and grants are not kept: only the mariadb-dump of the package mariadb-client can dump them")
  if (unsteady.length > 0)
    onLine(
      `${unsteady.length} tables have an engine without transactions, and may be of another moment: ${unsteady[0]} …`,
    )
}

function listing(tool: FoundTool, facts: ServerFacts, options: MysqlSourceOptions) {
  const { schemas } = facts
  const tables = new TablesDump(tool, options, facts)
  const { folder, file, eachSchema } = entryMaker(options.now(), schemas)
  const everything = options.schemas.length === 0 && tool.flavour === "mariadb"
  const entries = [
    ...[".", ...(schemas.length > 0 ? [FOLDERS.tables, FOLDERS.code, FOLDERS.views] : [])].map(folder),
    ...eachSchema("tables", (schema, signal) => tables.part(schema, false, signal)),
    ...eachSchema("code", (schema, signal) => codeDump(tool, options, schema, signal)),
    ...eachSchema("views", (schema, signal) => tables.part(schema, schema === schemas.at(-1), signal)),
    ...(everything ? [file(USERS, (signal) => usersDump(tool, options, signal))] : []),
    file(FACTS, () => factsText(facts, [tool], tables.seen)),
  ]
  return { entries, tables }
}
