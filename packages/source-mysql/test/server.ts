// A MariaDB server of a test's own: on a free loopback port, its data in a temporary directory, ended by its process id.

import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env, getuid } from "node:process"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "../../store/test/helpers.ts"
import type { MysqlAccess } from "../src/index.ts"

export const PATH = `${env["PATH"] ?? ""}:/usr/sbin:/sbin`
const SMALL = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"]

const OWN = "('mysql', 'information_schema', 'performance_schema', 'sys')"
const USER = "CONCAT(QUOTE(User), IF(is_role = 'Y', '', CONCAT('@', QUOTE(Host))))"
const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``

export class Server {
  /** In memory where that is: definitions are written to the disk one by one. */
  readonly folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "bc-mysql-"))
  readonly socket = join(this.folder, "socket")
  port = 0
  #child: ChildProcess | null = null
  readonly #more: readonly string[]

  /** @param more options of the server */
  constructor(more: readonly string[] = []) {
    this.#more = more
  }

  /** Makes the data directory, which has an administrator `root` without a password on the socket, and starts. */
  static async start(...more: string[]): Promise<Server> {
    const server = new Server(more)
    const made = spawnSync(
      "mariadb-install-db",
      ["--no-defaults", ...server.#options(), "--auth-root-authentication-method=normal", "--skip-test-db"],
      { env: { PATH }, encoding: "utf8" },
    )
    if (made.error !== undefined)
      throw new Error("these tests need MariaDB: apt-get install -y mariadb-server", { cause: made.error })
    if (made.status !== 0) throw new Error(`${made.stdout}${made.stderr}`)
    await server.run()
    return server
  }

  #options(): string[] {
    const user = getuid?.() === 0 ? ["--user=root"] : []
    return [`--datadir=${join(this.folder, "data")}`, ...SMALL, ...user]
  }

  /** Starts the server on its data. */
  async run(): Promise<void> {
    this.port = await freePort()
    const place = [`--socket=${this.socket}`, `--port=${this.port}`, "--bind-address=127.0.0.1"]
    const options = ["--no-defaults", ...this.#options(), ...place, `--pid-file=${this.folder}/pid`, ...this.#more]
    const child = spawn("mariadbd", options, { env: { PATH }, stdio: ["ignore", "ignore", "pipe"] })
    let said = ""
    child.stderr.on("data", (piece: Buffer) => {
      said = (said + piece.toString()).slice(-4000)
    })
    this.#child = child
    for (let tries = 0; ; tries++) {
      if (child.exitCode !== null || tries > 600) throw new Error(`mariadbd did not start:\n${said}`)
      if (this.#client("SELECT 1").status === 0) return
      await sleep(50)
    }
  }

  #client(sql: string, user = "root", ...options: string[]) {
    const args = [
      "--no-defaults",
      `--socket=${this.socket}`,
      `--user=${user}`,
      "--batch",
      "--raw",
      "--binary-mode",
      "--comments",
    ]
    return spawnSync("mariadb", [...args, "--skip-column-names", "--default-character-set=utf8mb4", ...options], {
      ...{ input: sql, encoding: "latin1", env: { PATH }, maxBuffer: 1 << 30 },
    })
  }

  /** What the server answers to SQL of its administrator; text in and out has a character for each byte. */
  sql(sql: string): string {
    const { status, stdout, stderr } = this.#client(sql)
    if (status !== 0) throw new Error(`${sql.slice(0, 500)}\n${stderr}`)
    return stdout.trimEnd()
  }

  /** Removes what `portrait` shows, but for the administrator. */
  reset(): void {
    const names = (sql: string): string[] =>
      this.sql(sql)
        .split("\n")
        .filter((line) => line !== "")
    for (const name of names(`SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ${OWN}`))
      this.sql(`DROP DATABASE ${quoted(name)}`)
    for (const user of names(`SELECT ${USER} FROM mysql.user WHERE User NOT IN ('root', 'mariadb.sys')`))
      this.sql(user.includes("@") ? `DROP USER ${user}` : `DROP ROLE ${user}`)
  }

  access(user: string, password: string | null, more: Partial<MysqlAccess> = {}): MysqlAccess {
    const asked = password === null ? null : async () => password
    const place = { host: "127.0.0.1", port: this.port }
    return { user, ...place, password: asked, ca: null, path: PATH, onLine: () => undefined, ...more }
  }

  /** Ends the server as it is. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    await ended
  }

  async end(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /**
   * All that can be compared of the schemas, without how it was backed up: rows by checksum and in order, definitions,
   * routines, triggers, events, sequences, users and grants. A line each.
   */
  portrait(): string[] {
    const lines = (sql: string): string[] =>
      this.sql(sql)
        .split("\n")
        .filter((line) => line !== "")
    const found: string[] = lines(
      `SELECT SCHEMA_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ${OWN} ORDER BY 1`,
    )
    const tables = JSON.parse(
      `[${lines(`SELECT JSON_ARRAY(TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE) FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ${OWN} ORDER BY TABLE_SCHEMA, TABLE_NAME`).join(",")}]`,
    ) as [string, string, string][]
    for (const [schema, table, type] of tables) {
      const name = `${quoted(schema)}.${quoted(table)}`
      found.push(this.sql(`SHOW CREATE TABLE ${name}`).replace(/ AUTO_INCREMENT=\d+/, ""))
      if (type === "BASE TABLE") found.push(...lines(`CHECKSUM TABLE ${name} EXTENDED; SELECT COUNT(*) FROM ${name}`))
      if (type === "SEQUENCE") found.push(this.sql(`SELECT next_not_cached_value FROM ${name}`))
      else found.push(this.sql(`SELECT * FROM ${name}`))
    }
    const code =
      "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, HEX(ROUTINE_DEFINITION), DEFINER, SQL_MODE, SECURITY_TYPE, ROUTINE_COMMENT FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA <> 'sys' ORDER BY 1, 2"
    const triggers =
      "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_TIMING, HEX(ACTION_STATEMENT), DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA <> 'sys' ORDER BY 1, 2"
    const events =
      "SELECT EVENT_SCHEMA, EVENT_NAME, HEX(EVENT_DEFINITION), INTERVAL_VALUE, INTERVAL_FIELD, STATUS, DEFINER FROM information_schema.EVENTS ORDER BY 1, 2"
    found.push(...lines(code), ...lines(triggers), ...lines(events))
    const users = lines(`SELECT ${USER} FROM mysql.user ORDER BY 1`)
    for (const user of users) {
      // MariaDB tells a right to PROXY once more when it was granted once more.
      found.push([...new Set(lines(`SHOW GRANTS FOR ${user}`))].join("\n"))
      if (user.includes("@")) found.push(this.sql(`SHOW CREATE USER ${user}`))
    }
    return found
  }
}
