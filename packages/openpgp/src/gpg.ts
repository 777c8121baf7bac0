// Runs gpg: batch mode, no options file, no terminal; data through stdin and stdout, everything else through further
// file descriptors; the outcome from its exit code and status lines alone, never from its messages. Nothing secret is
// in its arguments or environment. Killed when the signal aborts or the reader stops; never outlives either.

import { type ChildProcess, spawn } from "node:child_process"
import type { FileHandle } from "node:fs/promises"
import type { Readable, Writable } from "node:stream"
import { BackupError, release } from "@backup-cloud/format"
import type { GpgHome } from "./home.ts"

export interface StatusLine {
  readonly keyword: string
  readonly args: readonly string[]
}

/** How gpg ended. */
export interface Ending {
  /** Exit code; `null` if a signal ended it. */
  readonly code: number | null
  readonly status: readonly StatusLine[]
  /** The end of what it wrote for people: for `cause` only. */
  readonly said: Error
}

export interface GpgRun {
  /** After the options that every run has. */
  readonly args: readonly string[]
  readonly input: AsyncIterable<Uint8Array> | Uint8Array
  /** What can be read from file descriptors 4, 5, … (`EXTRA`). */
  readonly extra?: readonly Uint8Array[]
  /** Gets the output; nothing is yielded then. */
  readonly output?: FileHandle
  /** Whether this run needs private keys and so an agent. */
  readonly agent?: boolean
  /** Decides by the ending whether what came out counts, and throws if not. */
  judge(ending: Ending): void
}

const STATUS = 3
export const EXTRA = 4
const MOST_STATUS = 1 << 20
const MOST_SAID = 4_096

export const has = (ending: Ending, keyword: string): boolean => ending.status.some((line) => line.keyword === keyword)
export const all = (ending: Ending, keyword: string): readonly StatusLine[] =>
  ending.status.filter((line) => line.keyword === keyword)

const fixedOptions = [
  "--no-options",
  "--batch",
  "--no-tty",
  "--quiet",
  "--no-greeting",
  "--enable-special-filenames",
  "--no-auto-check-trustdb",
  "--trust-model=always",
  "--no-auto-key-retrieve",
  "--no-auto-key-locate",
  `--status-fd=${STATUS}`,
]

/** The output in pieces, each valid until the next is asked for; the last thing it does is `judge`. */
export async function* runGpg(home: GpgHome, run: GpgRun, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted()
  if (run.agent === true) home.agent = true
  const extra = run.extra ?? []
  const args = [
    ...fixedOptions,
    ...(home.path === null ? [] : [`--homedir=${home.path}`]),
    ...(run.agent === true ? [] : ["--no-autostart"]),
    ...run.args,
  ]
  // In a session of its own, so that Ctrl-C at the terminal reaches us alone and a checkpoint can still be sealed.
  const stdio: ("pipe" | number)[] = Array.from({ length: EXTRA + extra.length }, () => "pipe")
  if (run.output !== undefined) stdio[1] = run.output.fd
  const child = spawn(home.program, args, { stdio, detached: true })
  const kill = (): void => {
    child.kill()
  }
  signal.addEventListener("abort", kill, { once: true })
  const ended = ending(child, home.program)
  ended.catch(() => {}) // seen again below
  writeExtra(child, extra)
  const failures: unknown[] = []
  const stdin = child.stdio[0] as Writable
  const fed = feed(stdin, run.input).catch((error: unknown) => {
    failures.push(error)
    kill()
    return false
  })
  try {
    if (child.stdout !== null) yield* piecesOf(child.stdout)
    const result = await ended
    // A gpg that refuses its input stops reading: only after success is there a reason to wait for the input's end.
    const whole = result.code === 0 ? await fed : false
    signal.throwIfAborted()
    if (failures.length > 0) throw failures[0]
    if (result.code === null) throw new BackupError("unavailable", "gpg was killed", { cause: result.said })
    run.judge(result)
    if (!whole)
      throw new BackupError("unavailable", "gpg ended before it had read all of its input", { cause: result.said })
  } finally {
    signal.removeEventListener("abort", kill)
    kill()
    stdin.destroy()
    await ended.catch(() => {})
  }
}

/** As `runGpg`, for an output of at most `most` bytes. */
export async function gpgOutput(home: GpgHome, run: GpgRun, most: number, signal: AbortSignal): Promise<Buffer> {
  return gather(runGpg(home, run, signal), most, "the output of gpg")
}

/** Joins copies of pieces, whose memory may be used again; throws `tampered`, naming `object`, if there are more than `most` bytes. */
export async function gather(pieces: AsyncIterable<Uint8Array>, most: number, object: string): Promise<Buffer> {
  const all: Uint8Array[] = []
  let length = 0
  for await (const piece of pieces) {
    length += piece.length
    if (length > most) throw new BackupError("tampered", `${object}: is longer than ${most} bytes`)
    all.push(Uint8Array.from(piece))
  }
  return Buffer.concat(all, length)
}

/** Pieces that may wait for whoever reads them. */
const MOST_PIECES = 16

/**
 * What a stream reads, as it reads it: its own iteration joins what waits, which costs a copy of everything. A piece is
 * valid until the next is asked for; each has memory of its own.
 */
async function* piecesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  const waiting: Buffer[] = []
  let wake: () => void = () => undefined
  stream.on("data", (piece: Buffer) => {
    waiting.push(piece)
    if (waiting.length >= MOST_PIECES) stream.pause()
    wake()
  })
  stream.once("close", () => {
    wake()
  })
  try {
    for (;;) {
      const piece = waiting.shift()
      if (piece !== undefined) {
        yield piece
        release(piece.buffer as ArrayBuffer)
        if (waiting.length === 0) stream.resume()
      } else if (stream.closed) {
        if (stream.errored !== null) throw stream.errored
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    // One that is paused and left with what it holds would never close, nor its process count as ended.
    stream.destroy()
  }
}

async function ending(child: ChildProcess, program: string): Promise<Ending> {
  let status = ""
  let said = ""
  const lines = child.stdio[STATUS] as Readable
  lines.setEncoding("utf8").on("data", (text: string) => {
    status = status.length > MOST_STATUS ? status : status + text
  })
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-MOST_SAID)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve)
    child.once("error", (cause) => {
      reject(
        new BackupError("unavailable", `${program} cannot be started`, { cause, hint: "install GnuPG 2.2 or later" }),
      )
    })
  })
  const parsed = status.split("\n").flatMap((line) => {
    const [mark, keyword, ...args] = line.split(" ")
    return mark === "[GNUPG:]" && keyword !== undefined ? [{ keyword, args }] : []
  })
  return { code, status: parsed, said: new Error(said) }
}

function writeExtra(child: ChildProcess, extra: readonly Uint8Array[]): void {
  for (const [i, bytes] of extra.entries()) {
    const pipe = child.stdio[EXTRA + i] as Writable
    pipe.on("error", () => {}) // not read to the end: the exit code tells
    pipe.end(bytes)
  }
}

/**
 * Whether all of `input` was taken; a gpg that ended without looking for its input took all of an empty one. The next piece
 * is asked for when gpg has read the one before.
 */
async function feed(stdin: Writable, input: GpgRun["input"]): Promise<boolean> {
  let empty = true
  stdin.on("error", () => {}) // gpg stopped reading: its exit code tells why
  for await (const piece of input instanceof Uint8Array ? [input] : input) {
    if (piece.length === 0) continue
    empty = false
    if (stdin.destroyed) return false
    await written(stdin, piece)
  }
  if (stdin.destroyed) return empty
  return new Promise((resolve) => {
    stdin.once("close", () => {
      resolve(empty || stdin.writableFinished)
    })
    stdin.end()
  })
}

/** Resolves when the system has taken the piece, or never will. */
function written(stdin: Writable, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    stdin.write(piece, () => {
      resolve()
    })
  })
}
