// Where what a server holds lies in a backup: files of SQL whose names sort as they must be loaded.
//
//   1-tables/<schema>.sql   the schema, tables with their rows, sequences
//   2-code/<schema>.sql     triggers, events, routines
//   3-views/<schema>.sql    views, which may call routines
//   4-users.sql             users, roles and grants, which may be of any of these
//   server.json             what server it was, where its binary log was, rows and their hash of each table
//
// Where mydumper dumps the rows, there are instead of the first:
//
//   1a-definitions/<schema>.sql             the schema, tables without their rows, sequences
//   1b-rows/<number>-<schema>.<table>.sql   rows, in the order in which they were dumped

import { toByteString } from "@backup-cloud/format"

export const FOLDERS = { tables: "1-tables", definitions: "1a-definitions", code: "2-code", views: "3-views" } as const
export type Part = keyof typeof FOLDERS
export const USERS = "4-users.sql"
export const FACTS = "server.json"

/** Folder of the rows that mydumper dumped. */
export const ROWS_FOLDER = "1b-rows"
/** Digits of a number there: names sort as numbers. */
const DIGITS = 8
/** Names of schemas and tables that mydumper dumps. */
export const PLAIN = /^[\w$-]+$/
const ROWS = /^1b-rows\/\d{8}-([\w$-]+)\.([\w$-]+)\.sql$/

export const rowsPath = (number: number, schema: string, table: string): string =>
  `${ROWS_FOLDER}/${String(number).padStart(DIGITS, "0")}-${schema}.${table}.sql`

export interface RowsPart {
  readonly part: "rows"
  readonly schema: string
  readonly table: string
}

export type ServerPart = { readonly part: Part; readonly schema: string } | RowsPart | "users" | "facts"

/** Whether it makes a schema. */
export const makesSchema = (part: ServerPart): part is { readonly part: Part; readonly schema: string } =>
  typeof part === "object" && (part.part === "tables" || part.part === "definitions")

export const isRows = (part: ServerPart | null): part is RowsPart =>
  part !== null && typeof part === "object" && part.part === "rows"

/** Byte string. What a name of a file cannot have is `%` and two hex digits. */
export function schemaPath(part: Part, schema: string): string {
  const escaped = schema.replace(/[/%]/g, (one) => (one === "/" ? "%2F" : "%25"))
  return toByteString(`${FOLDERS[part]}/${escaped}.sql`)
}

/** What the path (a byte string) holds; `null` if it is none of a server's. */
export function partOf(path: string): ServerPart | null {
  if (path === USERS) return "users"
  if (path === FACTS) return "facts"
  const [, ofSchema, table] = ROWS.exec(path) ?? []
  if (ofSchema !== undefined && table !== undefined) return { part: "rows", schema: ofSchema, table }
  for (const part of Object.keys(FOLDERS) as Part[]) {
    const folder = `${FOLDERS[part]}/`
    if (!path.startsWith(folder) || !path.endsWith(".sql")) continue
    const escaped = Buffer.from(path.slice(folder.length, -".sql".length), "latin1").toString("utf8")
    const schema = escaped.replace(/%(2F|25)/g, (_, hex) => (hex === "2F" ? "/" : "%"))
    return schemaPath(part, schema) === path ? { part, schema } : null
  }
  return null
}
