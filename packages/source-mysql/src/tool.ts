// The programs of the server's client package as processes, in a group of their own, so that Ctrl-C at the terminal reaches
// us alone. What they say on standard error goes to people; the last of it is in the error, and its number decides the fault.

import { type ChildProcess, execFile, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { BackupError, escapeControl, type Fault } from "@backup-cloud/format"
import { closeOptionFile, type Flavour, type MysqlAccess, optionFile } from "./access.ts"

export type Tool = "client" | "dump"

const NAMES: Readonly<Record<Tool, readonly string[]>> = {
  client: ["mariadb", "mysql"],
  dump: ["mariadb-dump", "mysqldump"],
}
/** Of the last lines, how many and how many characters of each an error holds. */
const LAST_LINES = 5
const LAST_LINE = 300
/** What programs say themselves. Clients also repeat SQL that failed, rows, hashes of passwords and all. */
const SAID = /^(?:ERROR|WARNING|Warning|-- Warning|mariadb|mysql|\*\* \(mydumper)/
/** Milliseconds from SIGTERM to SIGKILL. */
const GRACE = 5_000

export interface FoundTool {
  readonly program: string
  readonly flavour: Flavour
  /** What it says to `--version`. */
  readonly version: string
  /** A program, with its arguments, that becomes this one. */
  readonly under?: readonly string[]
}

/** Finds a tool. Throws `unavailable`, with the package to install, if it is not there. */
export async function findTool(tool: Tool, path: string): Promise<FoundTool> {
  for (const program of NAMES[tool]) {
    const version = await versionOf(program, ["--no-defaults", "--version"], path)
    if (version !== null) return { program, version, flavour: /MariaDB/i.test(version) ? "mariadb" : "mysql" }
  }
  throw new BackupError("unavailable", `none of ${NAMES[tool].join(", ")} is installed; nothing was done`, {
    hint: "install the package mariadb-client or mysql-client",
  })
}

/** What a program says of itself; `null` if it is not there. */
export function versionOf(program: string, args: readonly string[], path: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env: { PATH: path } }, (error, stdout) => {
      if (error === null) resolve(stdout.trim())
      else if (error.code === "ENOENT") resolve(null)
      else reject(new BackupError("unavailable", `${program} does not run; nothing was done`, { cause: error }))
    })
  })
}

/** Starts a tool that is told of the server first and then `args`. */
export async function startTool(
  tool: FoundTool,
  access: MysqlAccess,
  args: readonly string[],
  signal: AbortSignal,
): Promise<RunningTool> {
  const password = access.password === null ? null : await access.password(signal)
  signal.throwIfAborted()
  const options = optionFile(access, tool.flavour, password)
  try {
    return new RunningTool(tool, ["--defaults-file=/proc/self/fd/3", ...args], options, access)
  } finally {
    closeOptionFile(options)
  }
}

export class RunningTool {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly #program: string
  readonly #child: ChildProcess
  readonly #ended: Promise<string | null>
  readonly #last: string[] = []
  #error = 0
  #hasEnded = false

  constructor(
    { program, under = [] }: FoundTool,
    args: readonly string[],
    options: number,
    { path, onLine, ca }: MysqlAccess,
  ) {
    this.#program = program
    // The token of a cloud's user goes as it is, and only through verified TLS.
    const env = { PATH: path, ...(ca === null ? {} : { LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN: "1" }) }
    const [command = program, ...rest] = [...under, program, ...args]
    const child = spawn(command, rest, { stdio: ["pipe", "pipe", "pipe", options], detached: true, env })
    this.#child = child
    if (child.stdin === null || child.stdout === null || child.stderr === null) throw new TypeError("no pipes")
    this.stdin = child.stdin
    this.stdout = child.stdout
    // What it did not read is told by how it ended.
    this.stdin.on("error", () => undefined)
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.#say(escapeControl(line), onLine)
    })
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => {
        resolve(`cannot be started (${escapeControl(error.message)})`)
      })
      child.once("close", (code, by) => {
        this.#hasEnded = true
        resolve(
          code === 0 ? null : code === null ? `was ended by ${by ?? "a signal"}` : `ended with exit status ${code}`,
        )
      })
    })
  }

  /** `null` if it could not be started. */
  get pid(): number | null {
    return this.#child.pid ?? null
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Holds it where it is, and lets it go on. */
  pause(): void {
    this.#child.kill("SIGSTOP")
  }

  resume(): void {
    this.#child.kill("SIGCONT")
  }

  #say(line: string, onLine: (line: string) => void): void {
    if (!SAID.test(line)) return
    onLine(line.slice(0, 4_096))
    this.#error = Number(/\berror:? (\d{4})\b/i.exec(line)?.[1] ?? this.#error)
    this.#last.push(line.slice(0, LAST_LINE))
    if (this.#last.length > LAST_LINES) this.#last.shift()
  }

  /**
   * Waits for the end. Throws unless its exit status is 0: `fault`, or, where none is given, by what the server said `refused`,
   * `unavailable` or `incomplete`.
   * @param notDone what that means
   */
  async success(notDone: string, fault?: Fault): Promise<void> {
    const how = await this.#ended
    if (how !== null) throw this.failure(how, notDone, fault)
  }

  failure(what: string, notDone: string, fault?: Fault): BackupError {
    const said = this.#last.length === 0 ? "" : `; it said: ${this.#last.join(" | ")}`
    const kind = fault ?? FAULTS.get(this.#error) ?? "incomplete"
    return new BackupError(kind, `${this.#program} ${what}; ${notDone}${said}`, {
      hint: HINTS[kind] ?? HINTS.incomplete,
    })
  }

  /** Ends it if it still runs, and returns when it has ended. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), GRACE)
    this.#child.kill("SIGTERM")
    this.resume()
    this.stdin.destroy()
    this.stdout.destroy()
    await this.#ended
    clearTimeout(timer)
  }

  /** Writes all of `input`, at the pace it is read. What the tool does not read is told by `success`. */
  async feed(input: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    let failed: { readonly error: unknown } | null = null
    const guarded = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* input
      } catch (error) {
        failed = { error }
        throw error
      }
    }
    await pipeline(guarded(), this.stdin, { signal }).catch(() => undefined)
    signal.throwIfAborted()
    throwFailure(failed)
  }
}

function throwFailure(failed: { readonly error: unknown } | null): void {
  if (failed !== null) throw failed.error
}

/** Numbers that servers and clients give to errors. */
const FAULTS = new Map<number, Fault>([
  ...[1044, 1045, 1130, 1142, 1227, 1370, 1410, 1698, 1820, 1862, 1873, 2026].map((code) => [code, "refused"] as const),
  ...[1021, 1040, 1053, 1114, 2002, 2003, 2005, 2006, 2013, 2055].map((code) => [code, "unavailable"] as const),
])

const HINTS: Partial<Record<Fault, string>> & { readonly incomplete: string } = {
  refused: "look at user, password, TLS and rights: the page of this source lists the grants it needs",
  unavailable: "see that the server runs, is reached and has room; then try again",
  incomplete: "mend what it says, and try again",
}
