// Runs git with nothing of the user's: own home, own configuration, no prompts, no hooks. It runs in a process group of its
// own, so that what it started ends with it. Secrets are in files of the private folder: no argument and no variable of a
// process holds one, and they are struck out of what git says.

import { spawn } from "node:child_process"
import { BackupError, escapeControl, type PrivateFolder, privateFolder } from "@backup-cloud/format"
import { type Remote, writeConfig } from "./remote.ts"

/** As `process.kill`: signals the process group `-pid`, and throws if it is not there. */
export type Kill = (pid: number, signal: "SIGTERM" | "SIGKILL") => unknown

export interface GitOptions {
  readonly kill: Kill
  /** Of which git gets what it needs to reach a server: PATH, proxies, certificates, the ssh agent. */
  readonly env: Readonly<Record<string, string | undefined>>
}

const PASSED = [
  ...["PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"],
  ...["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"],
]
/** Bytes that git may put out where that is read as a whole: refs of some million. */
const MOST_OUTPUT = 512 * 1024 * 1024
const MOST_SAID = 2_000

export interface RunOptions {
  readonly cwd: string
  readonly signal: AbortSignal
  readonly input?: string
}

/** git ended with another status than 0. */
export class GitFailure extends Error {
  override readonly name = "GitFailure"
  /** `null` if a signal ended it. */
  readonly code: number | null
  /** What it had put out: a byte string. */
  readonly output: string

  constructor(message: string, code: number | null, output: string) {
    super(message)
    this.code = code
    this.output = output
  }
}

export class Git implements AsyncDisposable {
  readonly remote: Remote
  readonly #options: GitOptions
  readonly #home: PrivateFolder
  readonly #secrets: readonly string[]

  private constructor(remote: Remote, options: GitOptions, home: PrivateFolder) {
    this.remote = remote
    this.#options = options
    this.#home = home
    const { username = "", password = "" } = remote.credential ?? {}
    this.#secrets = password === "" ? [] : [password, Buffer.from(`${username}:${password}`).toString("base64")]
  }

  static async open(remote: Remote, options: GitOptions): Promise<Git> {
    const home = await privateFolder("backup-cloud-git-", "git's configuration and credentials are kept")
    try {
      await writeConfig(home.path, remote)
      return new Git(remote, options, home)
    } catch (error) {
      await home[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#home[Symbol.asyncDispose]()
  }

  /** What it put out. Throws `GitFailure` if it failed, `incomplete` if it cannot be started, the reason of an abort. */
  async run(args: readonly string[], { cwd, signal, input }: RunOptions): Promise<Buffer> {
    signal.throwIfAborted()
    const child = spawn("git", args, { cwd, detached: true, stdio: ["pipe", "pipe", "pipe"], env: this.#env() })
    const end = (): void => {
      if (child.pid === undefined) return
      try {
        this.#options.kill(-child.pid, "SIGKILL")
      } catch {
        // It ended meanwhile.
      }
    }
    signal.addEventListener("abort", end, { once: true })
    const pieces: Buffer[] = []
    let length = 0
    let said = ""
    child.stdout.on("data", (piece: Buffer) => {
      length += piece.length
      if (length > MOST_OUTPUT) end()
      else pieces.push(piece)
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-MOST_SAID)
    })
    // A git that ends early does not read what it is given.
    child.stdin.on("error", () => undefined).end(input ?? "")
    try {
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once("error", reject)
        child.once("close", resolve)
      })
      signal.throwIfAborted()
      if (length > MOST_OUTPUT) throw new GitFailure(`git ${args[0] ?? ""} puts out too much`, code, "")
      if (code === 0) return Buffer.concat(pieces)
      const how = code === null ? `was ended by ${child.signalCode ?? "a signal"}` : `ended with exit status ${code}`
      throw new GitFailure(
        `git ${args[0] ?? ""} ${how}${this.#told(said)}`,
        code,
        Buffer.concat(pieces).toString("latin1"),
      )
    } catch (error) {
      if (error instanceof GitFailure || signal.aborted) throw error
      throw new BackupError("incomplete", "git cannot be started; the repository was not read", {
        cause: error,
        hint: "install git 2.32 or newer",
      })
    } finally {
      signal.removeEventListener("abort", end)
      end()
    }
  }

  async text(args: readonly string[], options: RunOptions): Promise<string> {
    return (await this.run(args, options)).toString("latin1")
  }

  #env(): Record<string, string> {
    const passed = PASSED.flatMap((name) => {
      const value = this.#options.env[name]
      return value === undefined ? [] : [[name, value] as const]
    })
    return {
      ...Object.fromEntries(passed),
      HOME: this.#home.path,
      LC_ALL: "C",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_TERMINAL_PROMPT: "0",
      GIT_NO_REPLACE_OBJECTS: "1",
      // An ssh that would ask waits for nobody.
      GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
      GCM_INTERACTIVE: "never",
    }
  }

  /** The last lines that git said, in one, without secrets. */
  #told(said: string): string {
    // Of a line that is shown again and again, what was shown last.
    const lines = said.split("\n").map((line) => line.split("\r").filter(Boolean).at(-1)?.trim() ?? "")
    let last = lines.filter(Boolean).slice(-5).join(" | ")
    for (const secret of this.#secrets) last = last.replaceAll(secret, "***")
    return last === "" ? "" : `; it said: ${escapeControl(last)}`
  }
}
