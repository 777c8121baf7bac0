// The tables of a server by their columns, to find out whether definitions and rows that were read at different moments fit.

import { createHash, type Hash } from "node:crypto"
import { BackupError, escapeControl } from "@backup-cloud/format"
import type { MysqlAccess } from "./access.ts"
import { PLAIN } from "./paths.ts"
import { literal, query } from "./query.ts"
import type { FoundTool } from "./tool.ts"

/** Names of columns, which mydumper encloses in backticks: ASCII without these. */
const QUOTABLE = /^[ -_a-~]+$/

export interface Tables {
  /** Of each table, as `schema.table`, a hash of its columns. */
  readonly columns: ReadonlyMap<string, string>
  /** As `schema.sequence`. */
  readonly sequences: readonly string[]
}

/** Throws `refused` for a name that mydumper cannot take. */
export async function tablesOf(
  client: FoundTool,
  access: MysqlAccess,
  schemas: readonly string[],
  signal: AbortSignal,
): Promise<Tables> {
  for (const name of schemas) checkPlain(name)
  const list = schemas.map((name) => `${literal(name)} COLLATE utf8mb4_bin`).join(", ")
  const where = `WHERE TABLE_SCHEMA IN (${list === "" ? "NULL" : list})`
  const tables = await query(
    client,
    access,
    ["TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE"],
    `FROM information_schema.TABLES ${where}`,
    signal,
  )
  const hashes = new Map<string, Hash>()
  const sequences: string[] = []
  for (const [schema, table, type] of tables) {
    checkPlain(String(table))
    if (type === "SEQUENCE") sequences.push(`${schema}.${table}`)
    else if (type !== "VIEW") hashes.set(`${schema}.${table}`, createHash("sha256"))
  }
  const columns = await query(
    client,
    access,
    ["TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "COLUMN_TYPE", "EXTRA"],
    `FROM information_schema.COLUMNS ${where} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION`,
    signal,
  )
  for (const [, table, column] of columns)
    checkPlain(String(column), QUOTABLE, `a column of ${escapeControl(String(table))}, `)
  for (const row of columns) hashes.get(`${row[0]}.${row[1]}`)?.update(`${JSON.stringify(row)}\n`)
  return { columns: new Map([...hashes].map(([table, hash]) => [table, hash.digest("hex")])), sequences }
}

function checkPlain(name: string, pattern = PLAIN, of = ""): void {
  if (pattern.test(name)) return
  throw new BackupError(
    "refused",
    `${of}${escapeControl(name)}: mydumper puts names into SQL as they are, so plain ones alone are given to it; nothing was backed up`,
    { hint: "leave dump=mydumper out of the URL, or name schemas in it that have plain names alone" },
  )
}

/** Throws `incomplete` if a table that was there before is not what it was. */
export function checkSame(before: Tables, after: Tables): void {
  for (const [table, columns] of before.columns)
    if (after.columns.get(table) !== columns)
      throw new BackupError(
        "incomplete",
        `${table} was altered or dropped while it was dumped; the backup is not whole`,
        {
          hint: "back up again",
        },
      )
}
