// Real PostgreSQL servers for tests, each in a folder of its own on a free port, ended by its process id. Over the network
// only passwords count, so that a test has what a backup has; on the socket the superuser `postgres` comes in without.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  chownSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { getuid, kill } from "node:process"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "../../store/test/helpers.ts"
import type { PostgresAccess } from "../src/index.ts"

/** Of the role `backup`; nothing else has such a value. */
export const PASSWORD = "only: \\this role's pässword-7c5e"

export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), "bc-pg-"))
  port = 0
  /** All that the server has said. */
  log = ""
  readonly #data = join(this.folder, "data")
  readonly #bin = findPrograms()
  #server: ChildProcess | null = null

  static async start(options: readonly string[] = []): Promise<Cluster> {
    const cluster = new Cluster()
    const { folder } = cluster
    const { uid, gid } = owner()
    chownSync(folder, uid, gid)
    const auth = ["--auth-local=trust", "--auth-host=scram-sha-256"]
    execFileSync(
      join(cluster.#bin, "initdb"),
      ["-D", cluster.#data, "-U", "postgres", ...auth, "--no-sync", "-E", "UTF8", "--locale=C"],
      { uid, gid, cwd: folder, stdio: ["ignore", "ignore", "inherit"] },
    )
    cluster.port = await freePort()
    await cluster.run(options)
    return cluster
  }

  /** Starts the server that is not running. */
  async run(options: readonly string[] = []): Promise<void> {
    const { uid, gid } = owner()
    const fast = [
      "fsync=off",
      "full_page_writes=off",
      "max_wal_size=64MB",
      "shared_buffers=16MB",
      "listen_addresses=127.0.0.1",
    ]
    const args = ["-D", this.#data, "-p", String(this.port), "-k", this.folder]
    for (const option of [...fast, ...options]) args.push("-c", option)
    const server = spawn(join(this.#bin, "postgres"), args, {
      ...{ uid, gid, cwd: this.folder },
      stdio: ["ignore", "ignore", "pipe"],
    })
    server.stderr.on("data", (piece: Buffer) => (this.log += piece.toString()))
    this.#server = server
    for (let tries = 0; ; tries++) {
      if (server.exitCode !== null || tries > 600) throw new Error(`postgres did not start:\n${this.log}`)
      const { status } = spawnSync(join(this.#bin, "pg_isready"), ["-q", "-h", this.folder, "-p", String(this.port)])
      if (status === 0) return
      await sleep(20)
    }
  }

  /** Makes a folder of the server's own, in its folder; absolute. */
  folderFor(name: string): string {
    const folder = join(this.folder, name)
    mkdirSync(folder)
    const { uid, gid } = owner()
    chownSync(folder, uid, gid)
    return folder
  }

  /** From its next start on nobody comes in over the network without TLS. */
  requireTls(): void {
    const file = join(this.#data, "pg_hba.conf")
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(/^host /gm, "hostssl "))
  }

  /** @param how SIGINT ends every connection first, SIGQUIT at once */
  async stop(how: "SIGINT" | "SIGQUIT" = "SIGQUIT"): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null || server.exitCode !== null) return
    const ended = once(server, "exit")
    server.kill(how)
    await ended
  }

  /** Ends the server and removes all of it. */
  async close(): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true })
  }

  /** What the superuser gets, a row a line. */
  sql(database: string, statements: string): string {
    const args = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", this.folder, "-p", String(this.port)]
    return execFileSync(join(this.#bin, "psql"), [...args, "-U", "postgres", database], {
      ...{ input: statements, encoding: "utf8", maxBuffer: 2 ** 30 },
      stdio: ["pipe", "pipe", "pipe"],
      env: { LC_ALL: "C", PGCLIENTENCODING: "UTF8" },
    })
  }

  /** Does statements in a transaction of the superuser that stays open until it is told to commit. */
  hold(database: string, statements: string): { ready: Promise<unknown>; commit: () => Promise<void> } {
    const args = ["-X", "-A", "-t", "-q", "-h", this.folder, "-p", String(this.port), "-U", "postgres", database]
    const child = spawn(join(this.#bin, "psql"), args, { env: { LC_ALL: "C" }, stdio: ["pipe", "pipe", "inherit"] })
    const ended = once(child, "exit")
    child.stdin.write(`${statements};\nselect 'ready';\n`)
    return {
      ready: once(child.stdout, "data"),
      commit: async () => {
        child.stdin.end("commit;\n")
        await ended
      },
    }
  }

  /** What a program of PostgreSQL puts out for the superuser. */
  tool(program: string, ...args: readonly string[]): string {
    const server = ["-h", this.folder, "-p", String(this.port), "-U", "postgres"]
    return execFileSync(join(this.#bin, program), [...server, ...args], {
      ...{ encoding: "latin1", maxBuffer: 2 ** 30 },
      env: { LC_ALL: "C" },
    })
  }

  /** Process ids of a program that speaks to this server over the network. */
  processes(program: string): number[] {
    const speaks = (pid: string): boolean => {
      try {
        const isProgram = readlinkSync(`/proc/${pid}/exe`).endsWith(`/${program}`)
        return isProgram && readFileSync(`/proc/${pid}/environ`, "utf8").includes(`PGPORT=${this.port}\0`)
      } catch {
        return false // It ended meanwhile.
      }
    }
    return readdirSync("/proc")
      .filter((name) => /^[0-9]+$/.test(name) && speaks(name))
      .map(Number)
  }

  url(path = "/", role = "backup"): string {
    return `postgres://${role}@127.0.0.1:${this.port}${path}`
  }

  /** As the role `backup` with its password. */
  access(path = "/", more: Partial<PostgresAccess> = {}): PostgresAccess {
    return {
      url: this.url(path),
      password: async () => PASSWORD,
      env: { PATH: this.#bin },
      kill,
      onLine: () => undefined,
      ...more,
    }
  }

  /** Makes the role `backup` with the rights that the page of the source tells. */
  backupRole(): void {
    const page = readFileSync(join(import.meta.dirname, "../../../docs/sources/postgres.md"), "utf8")
    const [, grants = ""] = /^```sql\n([^]*?)^```/m.exec(page) ?? []
    this.sql(
      "postgres",
      grants.replace("'long and random'", () => `'${PASSWORD.replaceAll("'", "''")}'`),
    )
  }

  /** Makes a role with the password that tests have. */
  role(name: string, rights: string): void {
    this.sql("postgres", `create role ${name} login ${rights} password '${PASSWORD.replaceAll("'", "''")}'`)
  }
}

function findPrograms(): string {
  const found = globSync("/usr/lib/postgresql/*/bin/initdb").sort().at(-1)
  if (found !== undefined) return dirname(found)
  throw new Error("these tests need a PostgreSQL server: install it with  apt-get install postgresql")
}

/** The server does not run as root. */
function owner(): { uid: number; gid: number } {
  const own = getuid?.() ?? 0
  if (own !== 0) return { uid: own, gid: Number(execFileSync("id", ["-g"], { encoding: "utf8" })) }
  const [uid, gid] = ["-u", "-g"].map((what) => Number(execFileSync("id", [what, "postgres"], { encoding: "utf8" })))
  return { uid: uid ?? 0, gid: gid ?? 0 }
}
