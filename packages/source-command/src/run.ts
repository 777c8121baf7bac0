// One command as a process, in a process group of its own: so a shell is ended together with what it started, and Ctrl-C
// at the terminal reaches us alone. Nothing here adds to its arguments or its environment.
//
// Not promised: the end of processes that left the group (`setsid`), or runs on another machine (`ssh`).

import { type ChildProcess, spawn } from "node:child_process"
import type { Readable, Writable } from "node:stream"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { Lines } from "./lines.ts"

export interface Command {
  /** Program and arguments. No shell reads them unless it is the program. */
  readonly command: readonly string[]
  /** All variables that it gets; those of this process unless given. */
  readonly env?: Readonly<Record<string, string>>
  /** Absolute; that of this process unless given. */
  readonly cwd?: string
  /** Open files that it gets as 3, 4 and so on. They may be closed once it was started. */
  readonly fds?: readonly number[]
}

/** As `process.kill`: signals the process group `-pid`, and throws if it is not there. */
export type Kill = (pid: number, signal: "SIGTERM" | "SIGKILL") => unknown

export interface RunOptions {
  readonly kill: Kill
  /**
   * Gets what commands say for people, line by line, control characters escaped, at most 4,096 characters each. What a
   * command says may hold secrets.
   * @param name of the stream
   */
  readonly onLine: (name: string, line: string) => void
  /** Milliseconds from SIGTERM to SIGKILL, and that a process which outlives the command may hold its output; 5,000. */
  readonly grace?: number
}

/** How a command ended. */
interface Ending {
  /** `null` if it did not end by itself. */
  readonly code: number | null
  /** `exit status 3`, `signal SIGKILL`. */
  readonly how: string
}

export class Running {
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  /** Rejects with `incomplete` if the command cannot be started. */
  readonly exited: Promise<Ending>
  readonly #child: ChildProcess
  readonly #options: RunOptions
  readonly #lines: Lines
  readonly #closed: Promise<void>
  readonly #title: string
  #isClosed = false

  /**
   * @param name of the stream, for messages
   * @param way `out`: what it puts out is content; `in`: what it is given is; `both`
   */
  constructor(name: string, { command, env, cwd, fds = [] }: Command, way: "in" | "out" | "both", options: RunOptions) {
    const [program = "", ...args] = command
    this.#options = options
    // Arguments are not told: they may hold what they should not.
    this.#title = `${escapeControl(name)}: ${escapeControl(program)}`
    this.#lines = new Lines((line) => {
      options.onLine(name, line)
    })
    const child = spawn(program, args, {
      stdio: [way === "out" ? "ignore" : "pipe", "pipe", "pipe", ...fds],
      detached: true,
      ...(env === undefined ? {} : { env }),
      ...(cwd === undefined ? {} : { cwd }),
    })
    this.#child = child
    this.stdin = child.stdin
    this.stdout = way === "in" ? null : child.stdout
    for (const pipe of way === "in" ? [child.stdout, child.stderr] : [child.stderr])
      if (pipe !== null) this.#lines.read(pipe)
    this.exited = new Promise((resolve, reject) => {
      child.once("exit", (code, by) => {
        resolve({ code, how: code === null ? `signal ${by ?? "unknown"}` : `exit status ${code}` })
      })
      child.once("error", (cause) => {
        const why = `${this.#title} cannot be started${"code" in cause ? ` (${String(cause.code)})` : ""}; nothing came of it`
        reject(
          new BackupError("incomplete", why, { cause, hint: "install the program, or correct its name or folder" }),
        )
      })
    })
    this.exited.catch(() => undefined) // seen again by who waits for it
    this.#closed = new Promise((resolve) => {
      child.once("close", () => {
        this.#isClosed = true
        resolve()
      })
    })
  }

  /** Waits for the end. Throws `incomplete`, with the last that the command said, unless its exit status is 0. */
  async success(notDone: string): Promise<void> {
    const { code, how } = await this.exited
    await this.#settle()
    if (code === 0) return
    throw this.failure(`ended with ${how}`, notDone)
  }

  /** `incomplete`: what happened, what was not done, and the last that the command said. */
  failure(what: string, notDone: string, cause?: unknown): BackupError {
    const said = this.#lines.last === "" ? "" : `; it said: ${this.#lines.last}`
    return new BackupError("incomplete", `${this.#title} ${what}; ${notDone}${said}`, {
      cause,
      hint: "run the command by itself and mend what it says",
    })
  }

  /** Signals the whole group at once, and returns when nothing is left of it that we know. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.signal(signal)
    // A program that waits for its output to be read would not end.
    this.stdout?.destroy()
    await this.#settle()
  }

  signal(signal: "SIGTERM" | "SIGKILL"): void {
    const { pid } = this.#child
    if (pid === undefined || this.#isClosed) return
    try {
      this.#options.kill(-pid, signal)
    } catch {
      // It ended meanwhile.
    }
  }

  /** Waits until nobody has the pipes open; who has them longer than the grace is ended, or let go. */
  async #settle(): Promise<void> {
    const timer = setTimeout(() => {
      this.signal("SIGKILL")
      for (const pipe of this.#child.stdio) pipe?.destroy()
    }, this.#options.grace ?? GRACE)
    await this.#closed
    clearTimeout(timer)
  }
}

const GRACE = 5_000
