// What a server is and holds, and whether this user may see all of it: what it may not see, servers leave out without a word.

import { BackupError, escapeControl, pathKey, toByteString } from "@backup-cloud/format"
import type { MysqlAccess } from "./access.ts"
import { schemaPath } from "./paths.ts"
import { literal, query } from "./query.ts"
import type { FoundTool } from "./tool.ts"

export interface ServerFacts {
  readonly version: string
  /** Whether it writes a binary log and this user may see where that is; MySQL stops all writing for a moment for it. */
  readonly hasPosition: boolean
  /** Of a server that counts transactions so (MySQL); `""` otherwise. */
  readonly gtidExecuted: string
  /** Schemas in the order of their paths. */
  readonly schemas: readonly string[]
  /** Whether this user may hold all writing for the moment in which several connections begin their transactions. */
  readonly canLock: boolean
  /** Tables that no transaction holds still, as `schema.table`. */
  readonly unsteady: readonly string[]
}

/** Schemas that every server makes for itself. */
const OWN = ["mysql", "information_schema", "performance_schema", "sys"]
/** What it takes to see all there is in a schema. */
const RIGHTS = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"]
/** Names of the right to ask for the position in the binary log. */
const POSITION_RIGHTS = ["BINLOG MONITOR", "REPLICATION CLIENT", "SUPER"]

const GRANTEE = `CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')`

/**
 * @param wanted schemas, or all but the server's own if it is empty
 * Throws `not-found` for one that is not there, `refused` where a right is missing or a name cannot be kept.
 */
export async function inspect(
  client: FoundTool,
  access: MysqlAccess,
  wanted: readonly string[],
  signal: AbortSignal,
): Promise<ServerFacts> {
  const ask = (columns: readonly string[], rest = "") => query(client, access, columns, rest, signal)
  const [[version, log] = []] = await ask(["VERSION()", "@@GLOBAL.log_bin + 0"])
  const mysql = !String(version).includes("MariaDB")
  const [[executed] = []] = mysql ? await ask(["@@GLOBAL.gtid_executed"]) : []
  const there = (await ask(["SCHEMA_NAME"], "FROM information_schema.SCHEMATA")).map(([name]) => String(name))
  const schemas = wanted.length > 0 ? wanted : there.filter((name) => !OWN.includes(name.toLowerCase()))
  for (const schema of schemas) checkSchema(schema, there)
  const rights = await rightsOf(ask, wanted, mysql)
  const engines = await ask(
    ["TABLE_SCHEMA", "TABLE_NAME"],
    "FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB'",
  )
  return {
    version: String(version),
    hasPosition: log === 1 && POSITION_RIGHTS.some((right) => rights.has(right)) && (!mysql || rights.has("RELOAD")),
    gtidExecuted: String(executed ?? "").replaceAll("\n", ""),
    schemas: sorted(schemas),
    canLock: rights.has("RELOAD"),
    unsteady: engines.filter(([schema]) => schemas.includes(String(schema))).map((row) => row.join(".")),
  }
}

const sorted = (schemas: readonly string[]): string[] =>
  [...schemas].sort((a, b) => (pathKey(schemaPath("tables", a)) < pathKey(schemaPath("tables", b)) ? -1 : 1))

function checkSchema(schema: string, there: readonly string[]): void {
  const shown = escapeControl(schema)
  if (!there.includes(schema)) {
    throw new BackupError("not-found", `there is no schema ${shown} that this user sees; nothing was backed up`, {
      hint: "look at its name and at the user's rights",
    })
  }
  // Its name ends a line of the dump.
  if (/\p{Cc}/u.test(schema)) {
    throw new BackupError("refused", `the schema ${shown} has a control character in its name; nothing was backed up`, {
      hint: "rename it, or name the schemas to back up in the URL",
    })
  }
}

type Ask = (columns: readonly string[], rest?: string) => ReturnType<typeof query>

/**
 * The user's rights everywhere. Throws `refused` unless they, or those of each schema, show all that is in it.
 * @param wanted schemas; all there are if it is empty, for which only rights everywhere will do
 */
async function rightsOf(ask: Ask, wanted: readonly string[], mysql: boolean): Promise<ReadonlySet<string>> {
  const global = await ask(["PRIVILEGE_TYPE"], `FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ${GRANTEE}`)
  const rights = new Set(global.map(([right]) => String(right)))
  const missing = RIGHTS.filter((right) => !rights.has(right))
  if (missing.length === 0) return rights
  if (wanted.length === 0) throw lacking(missing, "every schema", "*.*")
  for (const schema of wanted) {
    const rows = await ask(
      ["PRIVILEGE_TYPE"],
      `FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = ${GRANTEE} AND ${literal(schema)} COLLATE utf8mb4_bin LIKE TABLE_SCHEMA`,
    )
    const here = new Set(rows.map(([right]) => String(right)))
    const shown = escapeControl(schema)
    if (!missing.every((right) => here.has(right)))
      throw lacking(
        missing.filter((right) => !here.has(right)),
        shown,
        `${shown}.*`,
      )
  }
  if (!rights.has("SELECT")) await seesRoutines(ask, rights, mysql)
  return rights
}

function lacking(rights: readonly string[], where: string, on: string): BackupError {
  const list = rights.join(", ")
  return new BackupError("refused", `this user has no right to ${list} in ${where}; nothing was backed up`, {
    hint: `GRANT ${list} ON ${on} to the user itself: rights through a role do not show`,
  })
}

/** Throws `refused` for a user who sees no routines but its own. */
async function seesRoutines(ask: Ask, rights: ReadonlySet<string>, mysql: boolean): Promise<void> {
  if (!mysql) await ask(["COUNT(*)"], "FROM mysql.proc")
  else if (!rights.has("SHOW_ROUTINE"))
    throw new BackupError("refused", "this user has no right to see routines; nothing was backed up", {
      hint: "GRANT SHOW_ROUTINE ON *.* to the user itself",
    })
}

/** Byte strings, as dumps and catalogues have them. */
export const bytesOf = (name: string): string => toByteString(name)
