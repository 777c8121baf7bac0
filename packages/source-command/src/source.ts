// What commands put out, as a source: one regular file for each stream. A stream's exit status decides: other than 0,
// also after all its bytes were read, it broke off, and the run is a failed one.
//
// Commands run one after the other, each from when its first bytes are wanted, so that no dump waits, connected to its
// database, for another. What is in memory of one is what its pipe holds.

import {
  BackupError,
  escapeControl,
  isSafePath,
  pathKey,
  type Source,
  type SourceEntry,
  toByteString,
} from "@backup-cloud/format"
import { type Command, Running, type RunOptions } from "./run.ts"

export interface NamedStream extends Command {
  /** Path in the backup: `dump.sql`, `db/users.sql`. */
  readonly name: string
}

export interface CommandSourceOptions extends RunOptions {
  readonly streams: readonly NamedStream[]
  /** Becomes the time of every entry. */
  readonly now: () => Date
}

/**
 * The source of the streams. Everything is read in each run; what is the same is not stored again. Throws `usage` for a
 * name that is no path, occurs twice or lies below another, and for a command without a program.
 *
 * Content throws `incomplete` if the command cannot be started or ends with a status other than 0 or by a signal. Its
 * process group is ended (SIGTERM, after the grace SIGKILL) when the run stops before it does.
 */
export function commandSource(options: CommandSourceOptions): Source {
  const streams = new Map<string, NamedStream>()
  for (const stream of options.streams) {
    const path = toByteString(stream.name)
    check(stream, path)
    if (streams.has(path)) refuse(stream, "is the name of two streams")
    streams.set(path, stream)
  }
  const folders = new Set([...streams.keys()].flatMap(parents))
  for (const [path, stream] of streams) if (folders.has(path)) refuse(stream, "is also the folder of another stream")
  const entries = async function* (): AsyncGenerator<SourceEntry[], void, undefined> {
    const mtime = `${Math.floor(options.now().getTime() / 1000)}.000000000`
    const listed = [
      ...[...folders].map((path) => ({
        ...plain,
        type: "d" as const,
        mode: 0o700,
        path,
        mtime,
        size: 0,
        content: null,
      })),
      ...[...streams].map(([path, stream]) => entryOf(stream, path, mtime, options)),
    ]
    yield listed.sort((a, b) => (pathKey(a.path) < pathKey(b.path) ? -1 : 1))
  }
  return { kind: "command", identity: [], entries }
}

const plain = { uid: 0, gid: 0, link: null, attributes: new Map<string, string>() }

function entryOf(stream: NamedStream, path: string, mtime: string, options: RunOptions): SourceEntry {
  return {
    ...{ ...plain, type: "f", mode: 0o600, path, mtime, size: null },
    content: {
      kind: "stream",
      open: async (signal) => ({ attributes: new Map(), bytes: output(stream, options, signal) }),
    },
  }
}

/**
 * What one command puts out; it starts when the first bytes are wanted, and its process group ends with the iteration.
 * Throws `incomplete` if it cannot be started or does not end with status 0, also after its last byte.
 */
export async function* output(
  stream: NamedStream,
  options: RunOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal.throwIfAborted()
  const running = new Running(stream.name, stream, "out", options)
  const abort = (): void => void running.stop("SIGTERM")
  signal.addEventListener("abort", abort, { once: true })
  try {
    try {
      if (running.stdout !== null) yield* running.stdout as AsyncIterable<Uint8Array>
    } catch (cause) {
      // Why it ended too early, an abort or a command that cannot be started, is told below; else this is all we know.
      signal.throwIfAborted()
      await running.exited
      throw running.failure("put out what could not be read", "the backup is not whole", cause)
    }
    await running.success("the backup is not whole")
    signal.throwIfAborted()
  } finally {
    signal.removeEventListener("abort", abort)
    await running.stop("SIGTERM")
  }
}

/** The folders that hold a path, the top included. */
function parents(path: string): string[] {
  const segments = path.split("/").slice(0, -1)
  return [".", ...segments.map((_, i) => segments.slice(0, i + 1).join("/"))]
}

function check(stream: NamedStream, path: string): void {
  if (path === "." || !isSafePath(path)) refuse(stream, "is no name of a stream")
  if ((stream.command[0] ?? "") === "") refuse(stream, "has no command")
}

function refuse(stream: NamedStream, why: string): never {
  throw new BackupError("usage", `"${escapeControl(stream.name)}" ${why}; nothing was backed up`, {
    hint: "a name is a relative path such as db/users.sql, of one stream, and a command is a list: program, arguments",
  })
}
