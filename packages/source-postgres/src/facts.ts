// What is recorded of a database beside its dump, read in the transaction whose snapshot the dump has.

import { BackupError } from "@backup-cloud/format"
import type { Session } from "./session.ts"

/** Rows of each ordinary table by its quoted name. Partitions count for themselves, tables of extensions do not count. */
export type Rows = Readonly<Record<string, number>>

/** The content of a facts.json. */
interface Facts {
  readonly database: string
  /** As `server_version` has it. */
  readonly server_version: string
  /** Of a standby, what it had replayed. */
  readonly lsn: string
  readonly snapshot: string
  readonly standby: boolean
  /** When the snapshot was taken, by the server's clock. */
  readonly taken: string
  readonly rows: Rows
}

/** Begins the transaction that everything of the database is read in. */
export const BEGIN = "begin isolation level repeatable read, read only"

const FACTS = `select jsonb_build_object(
  'server_version', current_setting('server_version'),
  'lsn', case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
  'snapshot', pg_export_snapshot(),
  'standby', pg_is_in_recovery(),
  'taken', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))`

/** Ordinary tables that a dump has rows of, and that are no part of an extension. */
const TABLES = `select coalesce(jsonb_agg(format('%I.%I', n.nspname, c.relname) order by n.nspname, c.relname), '[]')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not (c.relpersistence = 'u' and pg_is_in_recovery())
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`

export async function readFacts(session: Session): Promise<Omit<Facts, "database" | "rows">> {
  return (await session.ask(FACTS)) as Omit<Facts, "database" | "rows">
}

/** Tables that nobody can drop or change until the transaction of the session ends. */
export async function lockTables(session: Session): Promise<string[]> {
  const tables = (await session.ask(TABLES)) as string[]
  if (tables.length > 0)
    await session.run(`lock table ${tables.map((table) => `only ${table}`).join()} in access share mode`)
  return tables
}

export async function countRows(session: Session, tables: readonly string[]): Promise<Rows> {
  const rows: Record<string, number> = {}
  for (const table of tables) rows[table] = (await session.ask(`select count(*) from only ${table}`)) as number
  return rows
}

/** The tables of the database of a session, unlocked. */
export async function listTables(session: Session): Promise<string[]> {
  return (await session.ask(TABLES)) as string[]
}

/** The numbers of rows in a facts.json. Throws `refused` for text that has none. @param what it is, for the message */
export function parseRows(text: string, what: string): Rows {
  try {
    const { rows } = JSON.parse(text) as Partial<Facts>
    if (rows !== undefined && Object.values(rows).every(Number.isSafeInteger)) return rows
  } catch {
    // It is told below.
  }
  throw new BackupError("refused", `${what} does not tell how many rows there were; nothing was restored`, {
    hint: "restore without it",
  })
}
