// The command line: options, one call, output, exit code. The only place that knows `process`.

import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { readlinkSync } from "node:fs"
import { createInterface } from "node:readline/promises"
import { BackupError, escapeControl, exitCode } from "@backup-cloud/format"
import { CommanderError } from "commander"
import type { Io } from "./io.ts"
import { program } from "./program.ts"

type Process = typeof process

/** Runs the command that `host` was started with; resolves to its exit code. */
export async function run(host: Process): Promise<number> {
  const { io, close, code } = hostIo(host)
  const json = host.argv.includes("--json")
  try {
    await (await program(io, host.argv.slice(2))).parseAsync(host.argv)
    return code()
  } catch (error) {
    return report(error, json, io)
  } finally {
    close()
  }
}

function report(error: unknown, json: boolean, io: Io): number {
  if (error instanceof CommanderError) {
    // Commander has already told people what it has to say.
    if (json && error.exitCode !== 0)
      io.out(JSON.stringify({ v: 1, event: "error", fault: "usage", message: error.message, hint: null }))
    return error.exitCode === 0 ? 0 : exitCode.usage
  }
  if (error instanceof BackupError) {
    if (json)
      io.out(
        JSON.stringify({ v: 1, event: "error", fault: error.fault, message: error.message, hint: error.hint ?? null }),
      )
    else {
      io.note(`backup-cloud: ${escapeControl(error.message)}`)
      if (error.hint !== undefined) io.note(`  → ${escapeControl(error.hint)}`)
      const cause = error.cause instanceof Error ? error.cause.message : ""
      if (cause !== "" && error.fault === "unavailable") io.note(`  (${escapeControl(cause)})`)
    }
    return exitCode[error.fault]
  }
  if (io.stop.aborted || io.signal.aborted) {
    io.note("backup-cloud: stopped")
    return 130
  }
  io.note(
    `backup-cloud: a defect of this program: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  )
  return 1
}

/** Where gpg's agent is to ask for a passphrase: gpg cannot see the terminal, because its standard input is a pipe. */
function nameTerminal(host: Process): void {
  try {
    host.env["GPG_TTY"] ??= readlinkSync(`/proc/self/fd/${host.stdin.fd}`)
  } catch {
    // Where the system does not tell, the person may.
  }
}

function hostIo(host: Process): { io: Io; close: () => void; code: () => number } {
  let ended = 0
  const stop = new AbortController()
  const abort = new AbortController()
  const onSignal = (): void => {
    if (stop.signal.aborted) abort.abort()
    else stop.abort()
  }
  host.on("SIGINT", onSignal)
  host.on("SIGTERM", onSignal)
  const { stdin, stdout, stderr } = host
  if (stdin.isTTY) nameTerminal(host)
  // A reader that went away (`| head`) ends the command quietly.
  stdout.on("error", () => {
    abort.abort()
  })
  let transient = false
  const clear = (): void => {
    if (transient) stderr.write("\r\u001b[K")
    transient = false
  }
  const io: Io = {
    env: host.env,
    cwd: host.cwd(),
    uid: host.getuid?.() ?? -1,
    program: [host.execPath, host.argv[1] ?? ""],
    node: host.versions.node,
    input: stdin,
    out(text) {
      clear()
      stdout.write(`${text}\n`)
    },
    async raw(bytes) {
      if (!stdout.write(bytes)) await once(stdout, "drain")
    },
    note(text) {
      clear()
      stderr.write(`${text}\n`)
    },
    progress(text) {
      if (!stderr.isTTY) return
      stderr.write(`\r\u001b[K${text.slice(0, (stderr.columns || 80) - 1)}`)
      transient = true
    },
    columns: () => (stderr.isTTY ? stderr.columns || 80 : null),
    async confirm(question) {
      if (!stdin.isTTY)
        throw new BackupError("usage", `${question} Nobody is here to answer.`, { hint: "give --yes if you are sure" })
      clear()
      const lines = createInterface({ input: stdin, output: stderr })
      try {
        return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal: stop.signal })).trim())
      } finally {
        lines.close()
      }
    },
    kill: (pid, signal) => host.kill(pid, signal),
    exitWith(code) {
      ended = code
    },
    now: () => new Date(),
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
    stop: stop.signal,
    signal: abort.signal,
  }
  return {
    io,
    code: () => ended,
    close: () => {
      clear()
      host.off("SIGINT", onSignal)
      host.off("SIGTERM", onSignal)
    },
  }
}
