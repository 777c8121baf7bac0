// One database: everything is read in one snapshot while its content.sql is read, so the transaction that holds the snapshot
// lives no longer than that. What else there is to know of the database is small, and kept until it is asked for.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { output } from "@backup-cloud/source-command"
import { BEGIN, countRows, lockTables, readFacts } from "./facts.ts"
import type { Part } from "./paths.ts"
import type { Server } from "./server.ts"
import { Session } from "./session.ts"

/** Plain SQL as psql takes it. pg_dump waits for a lock no longer than we do. */
const PG_DUMP = ["pg_dump", "-w", "--lock-wait-timeout=10min"]
/**
 * Names of databases and roles as they are stored: they are the same in databases of every encoding, so turning them from that
 * of one database into another would change them. Content is in the encoding of its database.
 */
export const RAW = "--encoding=SQL_ASCII"
/** All that pg_dump says of the database itself, and nothing of what is in it: of its tables one is chosen, and that left out. */
const NO_CONTENT = [
  ...["--create", "--schema-only", "--table=pg_catalog.pg_class", "--exclude-table=pg_catalog.pg_class"],
  RAW,
]

export class Dump {
  readonly #server: Server
  readonly #database: string
  #small: Readonly<Record<Exclude<Part, "content.sql">, Uint8Array>> | null = null

  constructor(server: Server, database: string) {
    this.#server = server
    this.#database = database
  }

  /** Throws `incomplete` for whatever keeps a part from being whole: the run is a failed one. */
  async *read(part: Part, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    if (part === "content.sql") {
      try {
        yield* this.#content(signal)
      } catch (error) {
        throw brokenOff(error, `the database ${escapeControl(this.#database)} is not backed up whole`)
      }
      return
    }
    if (this.#small === null) throw new RangeError(`${part} was asked for before content.sql was read`)
    yield this.#small[part]
  }

  async *#content(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    this.#small = null
    await using session = await Session.open(this.#server, this.#database, signal)
    await session.run(BEGIN)
    const facts = await readFacts(session)
    // Whoever drops a table now waits until we have read it.
    const tables = await lockTables(session)
    const snapshot = `--snapshot=${facts.snapshot}`
    yield* dumped(this.#server, this.#database, [...PG_DUMP, snapshot], signal)
    const create = await collect(dumped(this.#server, this.#database, [...PG_DUMP, snapshot, ...NO_CONTENT], signal))
    const rows = await countRows(session, tables)
    this.#small = {
      "create.sql": create,
      "facts.json": Buffer.from(`${JSON.stringify({ database: this.#database, ...facts, rows }, null, 2)}\n`),
    }
  }
}

/** As far behind the end as the words are, and what pg_dump says after them. */
const TAIL = 512
const COMPLETE = /^-- PostgreSQL database (?:cluster )?dump complete$/m

/**
 * What a dump program puts out. Throws `incomplete` unless it ends with status 0 and with the words that it is complete.
 * @param command `pg_dump` or `pg_dumpall`, without a database
 */
export async function* dumped(
  server: Server,
  database: string,
  command: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using prepared = await server.prepare(database, command, signal)
  let tail: Uint8Array = new Uint8Array()
  for await (const piece of output({ ...prepared, name: database }, server.access, signal)) {
    tail = Buffer.concat([tail.subarray(-TAIL), piece.subarray(-TAIL)])
    yield piece
  }
  if (COMPLETE.test(Buffer.from(tail).toString("latin1"))) return
  throw new BackupError(
    "incomplete",
    `${command[0] ?? ""} of ${escapeControl(database)} ended before it was complete`,
    {
      hint: "run the program by itself and look what it says",
    },
  )
}

/** The whole run fails with what breaks off in the middle, even if the server has only gone away. */
export function brokenOff(error: unknown, notDone: string): unknown {
  if (!(error instanceof BackupError) || error.fault === "incomplete") return error
  const { hint, message } = error
  return new BackupError("incomplete", `${message}; ${notDone}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  })
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(Buffer.from(piece))
  return Buffer.concat(all)
}
