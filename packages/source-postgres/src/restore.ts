// The way back into a server: first roles and tablespaces that it lacks, then one database after the other. Each is loaded
// under a name of its own and gets its real one when its content has ended whole, its SHA-256 and the numbers of its rows
// are right. So a database of that name is whole, or not there.
//
// What was there before is not changed: roles and tablespaces stay as they are, and a database that holds something is in
// the way unless told. Into a database that exists the content goes straight, and a failure leaves what it had come to.

import { BackupError, escapeControl, fromByteString, type SqlErasure, toByteString } from "@backup-cloud/format"
import { pipeInto } from "@backup-cloud/source-command"
import { countRows, listTables } from "./facts.ts"
import { type DatabaseParts, type Parts, type RestoredFile, readParts } from "./parts.ts"
import { parsePath } from "./paths.ts"
import { restricted } from "./restricted.ts"
import { type PostgresAccess, Server } from "./server.ts"
import { PSQL, quoteName, Session } from "./session.ts"
import { changesOf, renamed, type Statement, statements } from "./statements.ts"
import { isEmpty, lookAround, openMaintenance, type There } from "./there.ts"

export type PostgresEvent =
  /** `what` was there before and stays as it is, for each such thing. */
  | { readonly event: "kept"; readonly what: string }
  /** @param created false where it was there, so that its settings are not those of the backup */
  | {
      readonly event: "database"
      readonly name: string
      readonly created: boolean
      readonly bytes: number
      /** Of all tables; `null` if they were not compared, since the database held others before, or facts.json is not there. */
      readonly rows: number | null
    }

  /** The SQL of an erasure was run in the database. */
  | { readonly event: "erased"; readonly name: string; readonly number: number }

export interface PostgresRestoreOptions extends PostgresAccess {
  /** Load into databases that hold something. */
  readonly intoExisting: boolean
  /** What must not come back: run in each database that it is for, once that is loaded and before it has its name. */
  readonly erase?: readonly SqlErasure[]
  readonly random: (bytes: number) => Uint8Array
  readonly onEvent: (event: PostgresEvent) => void
}

/** A session default must not keep a restore from writing. */
const WRITING = { PGOPTIONS: "-c default_transaction_read_only=off" }

/**
 * Restores what `files` gives: of the URL's database exactly one, else every one under its own name. `files` is called
 * twice; globals.sql is used if it is among them.
 *
 * Throws `usage` if files are none of a backup of PostgreSQL, `conflict` if a database is there and not empty, before
 * anything is written; `incomplete` if the server does not take something, `differs` if a table has not the number of
 * rows it had; what `content` throws.
 */
export async function restoreDatabases(
  files: () => AsyncIterable<RestoredFile>,
  options: PostgresRestoreOptions,
  signal: AbortSignal,
): Promise<void> {
  await new Restore(options, signal).run(files)
}

class Restore {
  readonly #options: PostgresRestoreOptions
  readonly #signal: AbortSignal
  readonly #server: Server

  constructor(options: PostgresRestoreOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.#server = new Server(options)
  }

  async run(files: () => AsyncIterable<RestoredFile>): Promise<void> {
    const { globals, databases } = await readParts(files())
    const there = await lookAround(this.#server, this.#signal)
    await this.#expectRoom(databases, there)
    if (globals !== null) await this.#restoreGlobals(globals, there)
    for await (const file of files()) {
      const { database = "", part } = parsePath(file.path) ?? {}
      const parts = databases.get(database)
      if (part !== "content.sql" || parts === undefined) continue
      if (there.databases.has(this.#nameOf(database))) await this.#restoreInto(database, parts, file)
      else await this.#restoreDatabase(database, parts, file)
    }
  }

  /** What the restored database is to be called. */
  #nameOf(database: string): string {
    return this.#server.address.database ?? database
  }

  /** Throws unless every database can be made, or is there and may be loaded into. */
  async #expectRoom(databases: Parts["databases"], there: There): Promise<void> {
    if (this.#server.address.database !== null && databases.size !== 1) {
      throw new BackupError("usage", `${databases.size} databases do not go into one; nothing was restored`, {
        hint: "choose one with --path 'databases/NAME/*', or leave the name out of the address",
      })
    }
    for (const [database, { create }] of databases) {
      const name = this.#nameOf(database)
      const what = `the database ${escapeControl(name)}`
      if (!there.databases.has(name)) {
        if (create !== null) continue
        throw new BackupError("usage", `${what} is not there, and its create.sql is not chosen; nothing was restored`, {
          hint: "choose the whole folder of the database, or make it with createdb",
        })
      }
      if (this.#options.intoExisting || (await isEmpty(this.#server, name, this.#signal))) continue
      throw new BackupError("conflict", `${what} is there and holds something; nothing was restored`, {
        hint: "restore it under another name, postgres://…/NAME, only others by --path, or rename the one that is there",
      })
    }
  }

  /** Roles in one transaction, so that none is there by half; tablespaces, which none can hold, after it. */
  async #restoreGlobals(script: string, there: There): Promise<void> {
    const kept = new Set<string>()
    const wanted = statements(script).filter((statement) => {
      const what = changesOf(statement, there)
      if (what !== null) kept.add(what)
      return what === null
    })
    for (const what of kept) this.#options.onEvent({ event: "kept", what: escapeControl(fromByteString(what)) })
    const inOne = wanted.filter((statement) => !isOfTablespace(statement))
    const after = wanted.filter(isOfTablespace)
    await this.#feed(
      "postgres",
      [{ text: "BEGIN" }, ...inOne, { text: "COMMIT" }, ...after].map(({ text }) => text),
    )
  }

  /** Into a database that is there. */
  async #restoreInto(database: string, parts: DatabaseParts, file: RestoredFile): Promise<void> {
    const name = this.#nameOf(database)
    const loading = async (): Promise<number | null> => {
      await this.#load(name, file)
      const rows = this.#options.intoExisting ? null : await this.#compareRows(name, parts)
      await this.#erase(database, name)
      return rows
    }
    const rows = await loading().catch((error: unknown) => {
      throw leftOver(error, name)
    })
    this.#restored(name, false, file, rows)
  }

  /** As a new database, which has another name until it is whole. */
  async #restoreDatabase(database: string, parts: DatabaseParts, file: RestoredFile): Promise<void> {
    const name = this.#nameOf(database)
    const staged = `restoring_${Buffer.from(this.#options.random(8)).toString("hex")}`
    const script = statements(parts.create ?? "").map((each) => renamed(each, toByteString(database), staged))
    // Whatever else it says would be about a database that is none of ours.
    if (!script.some((text) => text.startsWith(`CREATE DATABASE ${quoteName(staged)} `)))
      throw new BackupError(
        "refused",
        `the create.sql of ${escapeControl(database)} does not make it; it was not restored`,
        {
          hint: "make the database with createdb, and restore into it",
        },
      )
    try {
      await this.#feed("postgres", script)
      await this.#load(staged, file)
      const rows = await this.#compareRows(staged, parts)
      await this.#erase(database, staged)
      await using session = await openMaintenance(this.#server, this.#signal)
      await session.run(`alter database ${quoteName(staged)} rename to ${quoteName(name)}`)
      this.#restored(name, true, file, rows)
    } catch (error) {
      await this.#drop(staged)
      throw error
    }
  }

  #restored(name: string, created: boolean, file: RestoredFile, rows: number | null): void {
    this.#options.onEvent({ event: "database", name: escapeControl(name), created, bytes: file.size, rows })
  }

  /** The content into a database, as it is verified. */
  async #load(database: string, file: RestoredFile): Promise<void> {
    await this.#pipe(database, restricted(file.content(), this.#options.random))
  }

  /** What must not come back, all of one erasure or nothing. @param loaded the name it has now */
  async #erase(database: string, loaded: string): Promise<void> {
    for (const erasure of this.#options.erase ?? []) {
      if (erasure.database !== database) continue
      await this.#pipe(loaded, restricted(once(erasure.sql), this.#options.random), "--single-transaction", "--file=-")
      this.#options.onEvent({ event: "erased", name: escapeControl(this.#nameOf(database)), number: erasure.number })
    }
  }

  /** Number of all rows; `null` if nobody knows what it was. */
  async #compareRows(database: string, { rows: recorded }: DatabaseParts): Promise<number | null> {
    if (recorded === null) return null
    await using session = await Session.open(this.#server, database, this.#signal)
    const rows = await countRows(session, await listTables(session))
    for (const table of new Set([...Object.keys(rows), ...Object.keys(recorded)])) {
      if (rows[table] === recorded[table]) continue
      throw new BackupError(
        "differs",
        `${escapeControl(table)} has ${rows[table] ?? "no"} rows, and had ${recorded[table] ?? "none"} when it was backed up`,
        { hint: "look what else writes into the new database: event triggers, extensions of the server" },
      )
    }
    return Object.values(rows).reduce((sum, count) => sum + count, 0)
  }

  /** @param texts statements, byte strings */
  async #feed(database: string, texts: readonly string[]): Promise<void> {
    const script = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(texts.map((text) => `${text};\n`).join(""), "latin1")
    }
    await this.#pipe(database, restricted(script(), this.#options.random))
  }

  async #pipe(database: string, content: AsyncIterable<Uint8Array>, ...more: readonly string[]): Promise<void> {
    const psql = [...PSQL, "-o", "/dev/null", ...more]
    await using prepared = await this.#server.prepare(database, psql, this.#signal, WRITING)
    const { kill, onLine } = this.#options
    await pipeInto(content, { ...prepared, kill, onLine, name: database }, this.#signal)
  }

  /** What could not be made whole; also when the restore was told to stop. */
  async #drop(staged: string): Promise<void> {
    const never = new AbortController().signal
    try {
      await using session = await openMaintenance(this.#server, never)
      await session.run(`drop database if exists ${quoteName(staged)} with (force)`)
    } catch {
      // The server may be gone. Its name tells what it is, and what keeps it from being dropped is not what went wrong.
    }
  }
}

/** A failure in the middle of a database that was there before. */
function leftOver(error: unknown, name: string): unknown {
  if (!(error instanceof BackupError)) return error
  const { fault, hint, message } = error
  return new BackupError(fault, `${message}; what had come until then is in the database ${escapeControl(name)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const isOfTablespace = ({ tokens }: Statement): boolean =>
  tokens.some((token) => token.kind === "word" && token.value === "TABLESPACE")
