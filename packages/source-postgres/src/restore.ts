// The way back into a server: first roles and tablespaces that it lacks, then one database after the other. Each is loaded
// under a name of its own and gets its real one when its content has ended whole, its SHA-256 and the numbers of its rows
// are right. So a database of that name is whole, or not there.
//
// What was there before is not changed: roles and tablespaces stay as they are, and a database that holds something is in
// the way unless told. Into a database that exists the content goes straight, and a failure leaves what it had come to.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { pipeInto } from "@backup-cloud/source-command"
import { collect } from "./dump.ts"
import { countRows, type Facts, listTables } from "./facts.ts"
import { GLOBALS, parsePath } from "./paths.ts"
import { restricted } from "./restricted.ts"
import { type PostgresAccess, Server } from "./server.ts"
import { PSQL, quoteName, Session } from "./session.ts"
import { changesOf, renamed, type Statement, statements } from "./statements.ts"

/** A file of a backup, verified as it is read: `content` throws at its end if it was not what it must be. */
export interface RestoredFile {
  /** As text, relative to the top. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  content(): AsyncIterable<Uint8Array>
}

export type PostgresEvent =
  /** `what` was there before and stays as it is, for each such thing. */
  | { readonly event: "kept"; readonly what: string }
  /** @param created false where it was there, so that its settings are not those of the backup */
  | {
      readonly event: "database"
      readonly name: string
      readonly created: boolean
      readonly bytes: number
      readonly rows: number
    }

export interface PostgresRestoreOptions extends PostgresAccess {
  /** Load into databases that hold something. */
  readonly intoExisting: boolean
  readonly random: (bytes: number) => Uint8Array
  readonly onEvent: (event: PostgresEvent) => void
}

/** Of create.sql, facts.json and globals.sql, which are in memory at once. */
const MOST_SMALL = 64 * 1_048_576

/** A session default must not keep a restore from writing. */
const WRITING = { PGOPTIONS: "-c default_transaction_read_only=off" }

interface Part {
  create: string | null
  facts: Facts | null
  hasContent: boolean
}

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
  readonly #parts = new Map<string, Part>()
  #globals: string | null = null

  constructor(options: PostgresRestoreOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.#server = new Server(options)
  }

  async run(files: () => AsyncIterable<RestoredFile>): Promise<void> {
    await this.#readSmall(files())
    const there = await this.#lookAround()
    if (this.#globals !== null) await this.#restoreGlobals(this.#globals)
    for await (const file of files()) {
      const parsed = parsePath(file.path)
      if (parsed?.part !== "content.sql") continue
      await this.#restoreDatabase(parsed.database, there.has(this.#nameOf(parsed.database)), file)
    }
  }

  /** Takes what is small into memory, and notes which databases there are. */
  async #readSmall(files: AsyncIterable<RestoredFile>): Promise<void> {
    let bytes = 0
    for await (const file of files) {
      const parsed = parsePath(file.path)
      if (file.path !== GLOBALS && parsed === null)
        throw new BackupError(
          "usage",
          `${escapeControl(file.path)} is no part of a PostgreSQL server; nothing was restored`,
        )
      const part = this.#partOf(parsed?.database ?? null)
      if (parsed?.part === "content.sql") {
        part.hasContent = true
        continue
      }
      bytes += file.size
      if (bytes > MOST_SMALL)
        throw new BackupError(
          "refused",
          `${escapeControl(file.path)} is too large for what it is; nothing was restored`,
        )
      const text = (await collect(file.content())).toString("utf8")
      if (parsed === null) this.#globals = text
      else if (parsed.part === "create.sql") part.create = text
      else part.facts = JSON.parse(text) as Facts
    }
    for (const [database, part] of this.#parts) if (!part.hasContent) this.#parts.delete(database)
    if (this.#server.address.database !== null && this.#parts.size !== 1) {
      throw new BackupError("usage", `${this.#parts.size} databases do not go into one; nothing was restored`, {
        hint: "choose one with --path 'databases/NAME/*', or leave the name out of the address",
      })
    }
  }

  #partOf(database: string | null): Part {
    const part = (database === null ? undefined : this.#parts.get(database)) ?? {
      create: null,
      facts: null,
      hasContent: false,
    }
    if (database !== null) this.#parts.set(database, part)
    return part
  }

  /** What the restored database is to be called. */
  #nameOf(database: string): string {
    return this.#server.address.database ?? database
  }

  /** Names of databases that are there. Throws `conflict` for one that is wanted and holds something. */
  async #lookAround(): Promise<ReadonlySet<string>> {
    await using session = await this.#maintenance()
    const all = new Set((await session.ask("select jsonb_agg(datname) from pg_database")) as string[])
    for (const [database, { create }] of this.#parts) {
      const name = this.#nameOf(database)
      const shown = escapeControl(name)
      if (!all.has(name)) {
        if (create !== null) continue
        throw new BackupError(
          "usage",
          `the database ${shown} is not there, and its create.sql is not chosen; nothing was restored`,
          {
            hint: "choose the whole folder of the database, or make it with createdb",
          },
        )
      }
      if (this.#options.intoExisting || (await this.#isEmpty(name))) continue
      throw new BackupError("conflict", `the database ${shown} is there and holds something; nothing was restored`, {
        hint: "restore into another name, postgres://…/NAME, or drop or rename the one that is there",
      })
    }
    return all
  }

  /** A session of a database that is always there, wherever the content goes. */
  async #maintenance(): Promise<Session> {
    return await Session.open(this.#server, "postgres", this.#signal)
  }

  async #isEmpty(database: string): Promise<boolean> {
    await using session = await Session.open(this.#server, database, this.#signal)
    // Smaller numbers are of what every new database has (FirstNormalObjectId).
    const exists = ["class", "proc", "type", "namespace", "extension", "largeobject_metadata"].map(
      (catalogue) => `exists (select from pg_${catalogue} where oid >= 16384)`,
    )
    return (await session.ask(`select to_jsonb(not (${exists.join(" or ")}))`)) as boolean
  }

  /** Roles in one transaction, so that none is there by half; tablespaces, which none can hold, after it. */
  async #restoreGlobals(script: string): Promise<void> {
    const there = await this.#existing()
    const kept = new Set<string>()
    const wanted = statements(script).filter((statement) => {
      const what = changesOf(statement, there)
      if (what !== null) kept.add(what)
      return what === null
    })
    for (const what of kept) this.#options.onEvent({ event: "kept", what: escapeControl(what) })
    const ofTablespaces = (statement: Statement): boolean =>
      statement.tokens.some((token) => token.kind === "word" && token.value === "TABLESPACE")
    const inOne = wanted.filter((statement) => !ofTablespaces(statement))
    await this.#feed("postgres", [
      "BEGIN",
      ...inOne.map(({ text }) => text),
      "COMMIT",
      ...wanted.filter(ofTablespaces).map(({ text }) => text),
    ])
  }

  async #existing(): Promise<{ roles: ReadonlySet<string>; tablespaces: ReadonlySet<string> }> {
    await using session = await this.#maintenance()
    const roles = (await session.ask("select jsonb_agg(rolname) from pg_roles")) as string[]
    const tablespaces = (await session.ask("select jsonb_agg(spcname) from pg_tablespace")) as string[]
    return { roles: new Set(roles), tablespaces: new Set(tablespaces) }
  }

  async #restoreDatabase(database: string, exists: boolean, file: RestoredFile): Promise<void> {
    const name = this.#nameOf(database)
    const { create, facts } = this.#partOf(database)
    const said = (rows: number): void => {
      this.#options.onEvent({ event: "database", name: escapeControl(name), created: !exists, bytes: file.size, rows })
    }
    if (exists || create === null) {
      await this.#load(name, file).catch((error: unknown) => {
        throw leftOver(error, name)
      })
      said(this.#options.intoExisting ? 0 : await this.#compareRows(name, facts))
      return
    }
    const staged = `restoring_${Buffer.from(this.#options.random(8)).toString("hex")}`
    try {
      await this.#feed(
        "postgres",
        statements(create).map((each) => renamed(each, database, staged)),
      )
      await this.#load(staged, file)
      const rows = await this.#compareRows(staged, facts)
      await using session = await this.#maintenance()
      await session.run(`alter database ${quoteName(staged)} rename to ${quoteName(name)}`)
      said(rows)
    } catch (error) {
      await this.#drop(staged)
      throw error
    }
  }

  /** The content into a database, as it is verified. */
  async #load(database: string, file: RestoredFile): Promise<void> {
    await this.#pipe(database, restricted(file.content(), this.#options.random))
  }

  /** Number of all rows. */
  async #compareRows(database: string, facts: Facts | null): Promise<number> {
    if (facts === null) return 0
    await using session = await Session.open(this.#server, database, this.#signal)
    const rows = await countRows(session, await listTables(session))
    for (const table of new Set([...Object.keys(rows), ...Object.keys(facts.rows)])) {
      if (rows[table] === facts.rows[table]) continue
      throw new BackupError(
        "differs",
        `${escapeControl(table)} has ${rows[table] ?? "no"} rows, and had ${facts.rows[table] ?? "none"} when it was backed up`,
        { hint: "look what else writes into the new database: event triggers, extensions of the server" },
      )
    }
    return Object.values(rows).reduce((sum, count) => sum + count, 0)
  }

  async #feed(database: string, texts: readonly string[]): Promise<void> {
    const script = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(texts.map((text) => `${text};\n`).join(""))
    }
    await this.#pipe(database, restricted(script(), this.#options.random))
  }

  async #pipe(database: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const psql = [...PSQL, "-o", "/dev/null"]
    await using prepared = await this.#server.prepare(database, psql, this.#signal, WRITING)
    const { kill, onLine } = this.#options
    await pipeInto(content, { ...prepared, kill, onLine, name: database }, this.#signal)
  }

  /** What could not be made whole; also when the restore was told to stop. */
  async #drop(staged: string): Promise<void> {
    const never = new AbortController().signal
    try {
      await using session = await Session.open(this.#server, "postgres", never)
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
