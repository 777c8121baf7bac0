// A conversation with a server by way of `psql`: a statement goes in, its one line of answer comes out. So it connects
// exactly as pg_dump does, with the same password, TLS and rules, and there is no second driver to keep.

import { createInterface } from "node:readline"
import { BackupError } from "@backup-cloud/format"
import { Running } from "@backup-cloud/source-command"
import type { Server } from "./server.ts"

/** psql's exit status where it could not connect, or lost the connection. */
const NO_CONNECTION = 2

/** No start file, no alignment, only rows, no words, no prompt; the first error ends it and is told in one line, no data in it. */
export const PSQL = [
  ...["psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"],
  ...["-v", "VERBOSITY=terse", "-v", "SHOW_CONTEXT=never"],
]

/** As the server has names; what can be written is left to the one transaction that says so; nothing waits for ever. */
const SETTINGS = `set client_encoding = 'UTF8'; set search_path = pg_catalog; set row_security = off;
  set standard_conforming_strings = on; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
  set lock_timeout = '10min'; set default_transaction_read_only = off`

export class Session implements AsyncDisposable {
  readonly #running: Running
  readonly #lines: AsyncIterator<string>
  readonly #server: Server
  readonly #signal: AbortSignal
  readonly #abort = (): void => void this.end()
  #open = false
  /** Whether an answer is awaited. */
  #busy = false

  private constructor(server: Server, running: Running, signal: AbortSignal) {
    if (running.stdout === null) throw new RangeError("psql has no output")
    this.#running = running
    this.#lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]()
    this.#server = server
    this.#signal = signal
    signal.addEventListener("abort", this.#abort, { once: true })
    // What a psql that has ended does not read is told by its exit status.
    running.stdin?.on("error", () => undefined)
  }

  /** Throws `refused` or `unavailable` if no connection comes about; `incomplete` if there is no psql. */
  static async open(server: Server, database: string, signal: AbortSignal): Promise<Session> {
    signal.throwIfAborted()
    await using prepared = await server.prepare(database, PSQL, signal)
    const session = new Session(server, new Running(database, prepared, "both", server.access), signal)
    try {
      await session.run(SETTINGS)
      session.#open = true
      return session
    } catch (error) {
      await session.end()
      throw error
    }
  }

  /** Statements without an answer. Throws `incomplete` with what the server said. */
  async run(statements: string): Promise<void> {
    await this.ask(`${statements}; select 'null'`)
  }

  /** A statement whose one answer is JSON in one line, as jsonb gives it. Throws `incomplete` with what the server said. */
  async ask(statement: string): Promise<unknown> {
    this.#signal.throwIfAborted()
    this.#busy = true
    this.#running.stdin?.write(`${statement};\n`)
    const line = await this.#lines.next()
    this.#busy = false
    if (line.done !== true) return JSON.parse(line.value)
    this.#signal.throwIfAborted()
    const { code, how } = await this.#running.exited
    const said = await this.#running.success("nothing was read").then(
      () => this.#running.failure(`ended with ${how}`, "nothing was read"),
      (error: unknown) => error,
    )
    if (this.#open || code !== NO_CONNECTION || !(said instanceof BackupError)) throw said
    throw await this.#server.connectFault(said, this.#signal)
  }

  /** Ends the connection, and what its transaction holds with it. An idle psql takes leave of the server by itself. */
  async end(): Promise<void> {
    this.#signal.removeEventListener("abort", this.#abort)
    this.#running.stdin?.end()
    if (!this.#busy) await this.#running.exited.catch(() => undefined)
    await this.#running.stop("SIGTERM")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}

/** An identifier as SQL takes it, whatever is in it. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
