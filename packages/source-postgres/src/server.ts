// A server, and the programs that speak to it: each gets the address as variables, the password as an open file, and of the
// environment nothing but what a program needs to run.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { type Command, type Kill, Running, type RunOptions } from "@backup-cloud/source-command"
import { type Address, parseAddress } from "./address.ts"
import { MEMORY, passwordFile } from "./password.ts"

export interface PostgresAccess extends RunOptions {
  /** `postgres://role@host:port/database?sslmode=…`, as address.ts has it. Never with a password. */
  readonly url: string
  /** Asked each time a program is started, so that a token which does not live long is a fresh one. Absent: as libpq finds it. */
  readonly password?: (signal: AbortSignal) => Promise<string>
  /** PATH is where the programs are; HOME is where libpq looks for certificates and ~/.pgpass. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly kill: Kill
  /** A folder in memory; /dev/shm. */
  readonly memory?: string
}

/** A command that may be started until it is disposed of. */
export type Prepared = Command & AsyncDisposable

export class Server {
  readonly address: Address
  readonly access: PostgresAccess

  /** Throws `usage` for a URL that is none. */
  constructor(access: PostgresAccess) {
    this.access = access
    this.address = parseAddress(access.url)
  }

  /** The database that is asked about the others. */
  get maintenance(): string {
    return this.address.database ?? "postgres"
  }

  /** A program of PostgreSQL for a database, the name of which no argument tells: there it could be more than a name. */
  async prepare(
    database: string,
    command: readonly string[],
    signal: AbortSignal,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Prepared> {
    const { password, env, memory = MEMORY } = this.access
    const file = password === undefined ? null : await passwordFile(await password(signal), memory)
    const kept = ["PATH", "HOME", "KRB5CCNAME"].flatMap((name) => {
      const value = env[name]
      return value === undefined ? [] : [[name, value]]
    })
    return {
      command,
      env: {
        ...(Object.fromEntries(kept) as Record<string, string>),
        LC_ALL: "C",
        ...this.address.variables,
        PGDATABASE: database,
        ...(file === null ? {} : { PGPASSFILE: "/dev/fd/3" }),
        ...more,
      },
      fds: file === null ? [] : [file.fd],
      [Symbol.asyncDispose]: async () => {
        await file?.close()
      },
    }
  }

  /**
   * Why `psql` could not connect: `refused` if the server is there and takes connections, `unavailable` if it is not.
   * @param said what psql said of it
   */
  async connectFault(said: BackupError, signal: AbortSignal): Promise<BackupError> {
    // It needs neither password nor certificate, since all that it wants is an answer.
    await using ready = await this.prepare(this.maintenance, ["pg_isready", "-q"], signal, { PGSSLMODE: "prefer" })
    const asked = new Running("pg_isready", ready, "out", this.access)
    const { code } = await asked.exited
    const host = escapeControl(this.address.variables["PGHOST"] ?? "this machine")
    return code === 0
      ? new BackupError("refused", `the PostgreSQL server on ${host} does not let us in: ${said.message}`, {
          cause: said,
          hint: "look at role, password, database and TLS, and at pg_hba.conf of the server",
        })
      : new BackupError("unavailable", `no PostgreSQL server answers on ${host}: ${said.message}`, {
          cause: said,
          hint: "look at host, port and whether the server runs, then try again",
        })
  }
}
