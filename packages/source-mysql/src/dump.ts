// The programs that dump, and what they put out as parts: one dump of the tables of all schemas, in one transaction, which is
// cut; one of triggers, events and routines for each schema; one of the users. A dump counts if its program ended with status 0
// and its last line was there.

import { BackupError } from "@backup-cloud/format"
import type { MysqlAccess } from "./access.ts"
import { type Cut, Cutter } from "./cutter.ts"
import { bytesOf, type ServerFacts } from "./server.ts"
import { type FoundTool, type RunningTool, startTool } from "./tool.ts"

const NOT_WHOLE = "the backup is not whole"
const COMPLETED = /(?:^|\n)-- Dump completed\n?$/
/** Bytes of a dump's end that are looked at. */
const TAIL = 64
/** Bytes in which the comments at its top have ended. */
const MOST_TITLE = 65_536

const common = (tool: FoundTool): string[] => [
  "--single-transaction",
  "--skip-dump-date",
  "--no-tablespaces",
  "--max-allowed-packet=1G",
  ...(tool.flavour === "mysql" ? ["--set-gtid-purged=OFF", "--column-statistics=0"] : []),
]

interface Started {
  readonly running: RunningTool
  readonly pieces: AsyncIterator<Buffer>
}

/** The dump of all tables, whose parts are read one after the other, each once. */
export class TablesDump {
  readonly #tool: FoundTool
  readonly #access: MysqlAccess
  readonly #facts: ServerFacts
  readonly #cutter = new Cutter()
  #started: Started | null = null
  #queue: Cut[] = []
  #read = 0
  readonly #more: readonly string[]

  /** @param more options of the dump program */
  constructor(tool: FoundTool, access: MysqlAccess, facts: ServerFacts, more: readonly string[] = []) {
    this.#tool = tool
    this.#access = access
    this.#facts = facts
    this.#more = more
  }

  /** What was seen, once the last part has been read. */
  get seen(): Pick<Cutter, "tables" | "position" | "gtid"> {
    return this.#cutter
  }

  /**
   * The next part, which must be that of `schema`: first all `tables`, then all `views`. Throws `incomplete` if the dump
   * broke off; then, and when the part is not read to its end, the program is ended.
   * @param last whether nothing comes after it
   */
  async *part(schema: string, last: boolean, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const stop = (): void => void this.stop()
    signal.addEventListener("abort", stop, { once: true })
    let whole = false
    try {
      const marker = await this.#next(signal)
      // Where no schema has a view, a dump has no second round.
      const views = this.#read >= this.#facts.schemas.length
      this.#read++
      if (marker !== null && (marker instanceof Uint8Array || marker.schema !== bytesOf(schema)))
        throw disordered(schema)
      if (marker === null && !views) throw disordered(schema)
      // Without a second round, what it would have had of a schema without views.
      const use = marker === null ? `USE \`${bytesOf(schema).replaceAll("`", "``")}\`;\n` : ""
      yield Buffer.from(this.#cutter.header + use, "latin1")
      for (let cut = await this.#next(signal); cut !== null; cut = await this.#next(signal)) {
        if (!(cut instanceof Uint8Array)) {
          if (last) throw disordered(schema)
          this.#queue.unshift(cut)
          break
        }
        yield cut
      }
      whole = true
    } finally {
      signal.removeEventListener("abort", stop)
      if (!whole || last) await this.stop()
    }
  }

  async stop(): Promise<void> {
    await this.#started?.running.stop()
  }

  /** The next cut; `null` once the dump has ended and is whole. */
  async #next(signal: AbortSignal): Promise<Cut | null> {
    signal.throwIfAborted()
    const { running, pieces } = (this.#started ??= await this.#start(signal))
    while (this.#queue.length === 0) {
      const next = await pieces.next().catch(() => null)
      signal.throwIfAborted()
      if (next === null || next.done === true) {
        await running.success(NOT_WHOLE, "incomplete")
        if (!this.#cutter.completed) throw running.failure("ended in the middle", NOT_WHOLE, "incomplete")
        return null
      }
      this.#queue.push(...this.#cutter.push(next.value))
    }
    return this.#queue.shift() ?? null
  }

  async #start(signal: AbortSignal): Promise<Started> {
    const running = await startTool(this.#tool, this.#access, this.#args(), signal)
    running.stdin.end()
    return { running, pieces: running.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer> }
  }

  #args(): string[] {
    const position = this.#tool.flavour === "mysql" ? "--source-data=2" : "--master-data=2"
    return [
      ...common(this.#tool),
      "--order-by-primary",
      "--hex-blob",
      "--no-autocommit",
      "--skip-triggers",
      ...(this.#facts.hasPosition ? [position] : []),
      ...this.#more,
      "--databases",
      "--",
      ...this.#facts.schemas,
    ]
  }
}

/** Triggers, events and routines of a schema. */
export function codeDump(tool: FoundTool, access: MysqlAccess, schema: string, signal: AbortSignal) {
  const what = ["--no-create-db", "--no-create-info", "--no-data", "--triggers", "--events", "--routines"]
  return wholeDump(tool, access, [...common(tool), ...what, "--databases", "--", schema], signal)
}

/** Users, roles and grants of a MariaDB server. What is there already of the same name stays when it is loaded. */
export function usersDump(tool: FoundTool, access: MysqlAccess, signal: AbortSignal) {
  return wholeDump(tool, access, [...common(tool), "--system=users", "--insert-ignore"], signal)
}

async function* wholeDump(
  tool: FoundTool,
  access: MysqlAccess,
  args: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const running = await startTool(tool, access, args, signal)
  const stop = (): void => void running.stop()
  signal.addEventListener("abort", stop, { once: true })
  let tail = ""
  try {
    running.stdin.end()
    try {
      for await (const piece of withoutTitle(running.stdout as AsyncIterable<Buffer>)) {
        tail = (tail + piece.subarray(-TAIL).toString("latin1")).slice(-TAIL)
        yield piece
      }
    } catch {
      // Why is told by how it ended.
    }
    signal.throwIfAborted()
    await running.success(NOT_WHOLE, "incomplete")
    if (!COMPLETED.test(tail)) throw running.failure("ended in the middle", NOT_WHOLE, "incomplete")
  } finally {
    signal.removeEventListener("abort", stop)
    await running.stop()
  }
}

/** Leaves out the comments at the top, which tell how the server was reached and not what it holds. */
async function* withoutTitle(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let head: Buffer | null = Buffer.alloc(0)
  for await (const piece of pieces) {
    if (head === null) {
      yield piece
      continue
    }
    head = Buffer.concat([head, piece])
    const end = head.indexOf("\n/*!")
    if (end < 0 && head.length < MOST_TITLE) continue
    yield Buffer.from(
      head
        .subarray(0, end + 1)
        .toString("latin1")
        .replace(/^--.*\n/gm, ""),
      "latin1",
    )
    yield head.subarray(end + 1)
    head = null
  }
  if (head !== null) yield head
}

function disordered(schema: string): BackupError {
  return new BackupError("incomplete", `the dump is not in the order of what was listed at ${schema}; ${NOT_WHOLE}`, {
    hint: "run it again; if it stays, this version does not know this version of the dump program",
  })
}
