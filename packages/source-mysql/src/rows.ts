// Whether a server has the rows that a backup of it says it had.

import { BackupError, escapeControl } from "@backup-cloud/format"
import type { MysqlAccess } from "./access.ts"
import { FACTS } from "./paths.ts"
import { query } from "./query.ts"
import { findTool } from "./tool.ts"

/** The name of the file that says it. */
export const ROWS_FILE = FACTS

/** Tables that are counted by one question. */
const AT_ONCE = 50

/**
 * Counts the rows of every table; how many there are in all. Throws `differs`, naming the first table that has not what it
 * had, `tampered` for facts that are none.
 * @param facts the text of `server.json`
 */
export async function compareRows(facts: string, access: MysqlAccess, signal: AbortSignal): Promise<number> {
  const tables = tablesOf(facts)
  const client = await findTool("client", access.path)
  let rows = 0
  for (let at = 0; at < tables.length; at += AT_ONCE) {
    const some = tables.slice(at, at + AT_ONCE)
    const counts = some.map(({ schema, table }) => `(SELECT COUNT(*) FROM ${quoted(schema)}.${quoted(table)})`)
    const [found = []] = await query(client, access, counts, "", signal).catch(differing)
    for (const [i, { schema, table, rows: recorded }] of some.entries()) {
      if (found[i] !== recorded)
        throw new BackupError(
          "differs",
          `${escapeControl(`${schema}.${table}`)} has ${found[i] ?? "no"} rows, and had ${recorded} when it was backed up`,
          { hint: "look what else writes into the server: triggers, events, replication" },
        )
      rows += recorded
    }
  }
  return rows
}

/** What cannot be counted since a table is not there. */
function differing(cause: unknown): never {
  if (!(cause instanceof BackupError) || cause.fault !== "incomplete") throw cause
  throw new BackupError("differs", `a table that was backed up cannot be counted: ${cause.message}`, { cause })
}

const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``

function tablesOf(facts: string): { readonly schema: string; readonly table: string; readonly rows: number }[] {
  try {
    const { tables } = JSON.parse(facts) as { tables: Record<string, Record<string, { rows: number }>> }
    return Object.entries(tables).flatMap(([schema, of]) =>
      Object.entries(of).map(([table, { rows }]) => ({ schema, table, rows })),
    )
  } catch (cause) {
    throw new BackupError("tampered", `${FACTS}: does not say which rows there were`, { cause })
  }
}
