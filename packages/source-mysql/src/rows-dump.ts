// A run of mydumper whose files are taken as they close, so that no more than a bounded part of the rows lies in memory in the
// clear. A file is closed when it is in the folder and the process has it open no longer. While more lies there than the limit,
// the process is held. How it ended decides whether the rows are whole.
//
// Not promised: the limit to the byte. A row is never cut, and what is under way when it is passed comes on top.

import { createReadStream } from "node:fs"
import { mkdir, readdir, readFile, readlink, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { BackupError, type PrivateFolder, privateFolder } from "@backup-cloud/format"
import type { MysqlAccess } from "./access.ts"
import type { EndsPart, Position } from "./cutter.ts"
import { type Chosen, MOST_INSERTS, startMydumper } from "./mydumper.ts"
import { noRows, type TableStats } from "./row-hash.ts"
import { type RowsFile, TableRows } from "./table-rows.ts"
import type { FoundTool, RunningTool } from "./tool.ts"

/** Milliseconds between two looks. */
const EACH = 20
const STILL = 120_000
const PIECE = 1_048_576
const NAME = /^([\w$-]+)\.([\w$-]+?)(?:\.(\d{5,}))?\.sql$/
const NOT_WHOLE = "the backup is not whole"

export interface RowsDumpOptions {
  readonly tool: FoundTool
  readonly access: MysqlAccess
  readonly chosen: Chosen
  /** As `schema.table`: rows of others are left out. */
  readonly tables: Iterable<string>
  /** Bytes. */
  readonly limit: number
  readonly endsPart: EndsPart
  /** Milliseconds after which a program that neither computes nor writes is ended; two minutes unless given. */
  readonly still?: number
  readonly signal: AbortSignal
}

export class RowsDump implements AsyncDisposable {
  /** By schema and table, of those that were asked for. */
  readonly stats = new Map<string, Map<string, TableStats>>()
  position: Position | null = null
  gtid: string | null = null
  /** Times that it was held. */
  held = 0

  readonly #o: RowsDumpOptions
  readonly #folder: PrivateFolder
  readonly #out: string
  readonly #running: RunningTool
  readonly #tables = new Map<string, TableRows | null>()
  readonly #ready: RowsFile[] = []
  /** Bytes of files that are finished and not read. */
  #unread = 0
  #isHeld = false
  #stopped = false
  #stoodStill = false
  readonly #work: Promise<void>
  readonly #guarding: Promise<void>
  #ended = false
  #wake: () => void = () => undefined

  private constructor(options: RowsDumpOptions, folder: PrivateFolder, running: RunningTool) {
    this.#o = options
    this.#folder = folder
    this.#out = join(folder.path, "out")
    this.#running = running
    for (const name of options.tables) this.#statsOf(name)
    options.signal.addEventListener(
      "abort",
      () => {
        this.#wake()
        void this[Symbol.asyncDispose]()
      },
      { once: true },
    )
    this.#work = this.#take().finally(() => {
      this.#ended = true
      this.#wake()
    })
    // It is told where files are asked for.
    this.#work.catch(() => undefined)
    this.#guarding = this.#guard()
  }

  static async start(options: RowsDumpOptions): Promise<RowsDump> {
    const folder = await privateFolder("backup-cloud-mydumper-", "what mydumper writes is kept")
    try {
      await mkdir(join(folder.path, "cut"), { mode: 0o700 })
      const { tool, access, chosen, signal } = options
      return new RowsDump(options, folder, await startMydumper(tool, access, folder.path, chosen, signal))
    } catch (error) {
      await folder[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Ends the program and removes what is left of its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    await this.#running.stop()
    await this.#work.catch(() => undefined)
    await this.#guarding
    for (const rows of this.#tables.values()) await rows?.[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }

  /** Files of rows as they are finished, each to be read once. Throws `incomplete` if the dump broke off. */
  async *files(): AsyncGenerator<readonly RowsFile[], void, undefined> {
    for (;;) {
      const ready = this.#ready.splice(0)
      if (ready.length > 0) yield ready
      else if (!this.#ended) await this.#change()
      else {
        await this.#work
        return
      }
    }
  }

  async #change(): Promise<void> {
    const { signal } = this.#o
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (signal.aborted) resolve()
    })
    signal.throwIfAborted()
  }

  /** The bytes of a file, which is removed once they were read. */
  async *read({ file, bytes }: RowsFile): AsyncGenerator<Uint8Array, void, undefined> {
    yield* createReadStream(file, { highWaterMark: PIECE }) as AsyncIterable<Uint8Array>
    await rm(file)
    this.#unread -= bytes
    this.#wake()
  }

  async #take(): Promise<void> {
    for (;;) {
      if (this.#stopped) return
      const last = this.#running.hasEnded
      if (last && this.#stoodStill)
        throw this.#running.failure(
          "stood still and was ended, as its threads sometimes wait for each other",
          NOT_WHOLE,
          "incomplete",
        )
      if (last) await this.#running.success(NOT_WHOLE, "incomplete")
      for (const name of await this.#closed(last)) await this.#takeFile(name)
      if (last) break
      await this.#goOn()
      await sleep(EACH)
    }
    for (const [name, rows] of this.#tables) await this.#end(name, rows)
    await this.#takeMetadata()
  }

  /** Names of files that nothing more is written to. @param all since the program has ended */
  async #closed(all: boolean): Promise<string[]> {
    const names = (await readdir(this.#out).catch(() => [])).filter((name) => name.endsWith(".sql"))
    const busy = all ? new Set() : await openFiles(this.#running.pid ?? 0)
    // It is ending, and whether what it leaves is whole is not known yet.
    if (busy === null) return []
    const index = (name: string): number => Number(NAME.exec(name)?.[3] ?? 0)
    return names
      .sort((a, b) => index(a) - index(b))
      .filter((name) => {
        // The only file of a table is given another name once it is closed.
        const renamed = name.endsWith(".00001.sql") && !all && !names.includes(name.replace(".00001.", ".00002."))
        return !renamed && !busy.has(join(this.#out, name))
      })
  }

  async #takeFile(name: string): Promise<void> {
    const file = join(this.#out, name)
    const { size = 0 } = (await stat(file).catch(() => null)) ?? {}
    // It removes files without rows by itself.
    if (size === 0) return
    const [, schema = "", table = "", index] = NAME.exec(name) ?? []
    const key = `${schema}.${table}`
    const stats = this.stats.get(schema)?.get(table)
    // Of a table that came to be after what there is was listed.
    if (stats !== undefined) await this.#takeRows(key, schema, table, file, index !== undefined)
    await rm(file)
  }

  async #takeRows(key: string, schema: string, table: string, file: string, several: boolean): Promise<void> {
    const known = this.#tables.get(key)
    if (known === null) throw disordered(key)
    const rows = known ?? this.#begin(schema, table)
    this.#tables.set(key, rows)
    const before = rows.cutter.inserts
    await rows.take(createReadStream(file, { highWaterMark: PIECE }) as AsyncIterable<Buffer>)
    // Another file begins only where one is full.
    if (!several || rows.cutter.inserts - before <= MOST_INSERTS) await this.#end(key, rows)
  }

  #begin(schema: string, table: string): TableRows {
    return new TableRows(schema, table, join(this.#folder.path, "cut"), this.#o.endsPart, (file) => {
      this.#ready.push(file)
      this.#unread += file.bytes
      this.#wake()
    })
  }

  async #end(key: string, rows: TableRows | null): Promise<void> {
    await rows?.end()
    const found = rows?.cutter.tables.get(rows.schema)?.get(rows.table)
    if (rows !== null && found !== undefined) Object.assign(this.#statsOf(key), found)
    this.#tables.set(key, null)
  }

  /** Holds the program when too much lies in the folder: beside the taking of files, which takes longer than their writing. */
  async #guard(): Promise<void> {
    const { still = STILL } = this.#o
    let [last, since] = ["", performance.now()]
    while (!this.#ended && !this.#stopped) {
      const now = await doneBy(this.#running.pid ?? 0)
      if (now !== last || this.#isHeld) [last, since] = [now, performance.now()]
      if (performance.now() - since > still) {
        this.#stoodStill = true
        await this.#running.stop()
        return
      }
      if (!this.#isHeld && !this.#running.hasEnded && (await this.#staged()) > this.#o.limit) {
        this.#isHeld = true
        this.held++
        this.#running.pause()
      }
      await sleep(EACH)
    }
  }

  async #staged(): Promise<number> {
    const pending = [...this.#tables.values()].reduce((sum, rows) => sum + (rows?.pending ?? 0), 0)
    return this.#unread + pending + (await bytesIn(this.#out))
  }

  /** Lets the program go on when there is room. Called when all files that are closed have been taken. */
  async #goOn(): Promise<void> {
    const isFull = async (): Promise<boolean> => (await this.#staged()) > this.#o.limit / 2
    if (!this.#isHeld) return
    // Where nothing is there to be read, nothing would ever be: what is not finished is cut where it is.
    if (this.#unread === 0 && (await isFull())) for (const rows of this.#tables.values()) await rows?.end()
    if (this.#unread > 0 && (await isFull())) return
    this.#isHeld = false
    this.#running.resume()
  }

  async #takeMetadata(): Promise<void> {
    const text = await readFile(join(this.#out, "metadata"), "utf8").catch(() => null)
    if (text === null || !/^Finished dump at: /m.test(text))
      throw new BackupError("incomplete", `mydumper left no note that it finished; ${NOT_WHOLE}`, {
        hint: "back up again",
      })
    const [, own = ""] = /^SHOW MASTER STATUS:\n((?:\t.*\n)+)/m.exec(text) ?? []
    const [, file, offset] = /^\tLog: (.+)\n\tPos: (\d+)$/m.exec(own) ?? []
    if (file !== undefined) this.position = { file, offset: Number(offset) }
    this.gtid = /^\tGTID:(.+)$/m.exec(own)?.[1] ?? null
  }

  #statsOf(name: string): TableStats {
    const at = name.indexOf(".")
    const [schema, table] = [name.slice(0, at), name.slice(at + 1)]
    const tables = this.stats.get(schema) ?? new Map<string, TableStats>()
    this.stats.set(schema, tables)
    const stats = tables.get(table) ?? noRows()
    tables.set(table, stats)
    return stats
  }
}

/** Files that a process has open; `null` if it has none any more. */
async function openFiles(pid: number): Promise<ReadonlySet<string> | null> {
  const folder = `/proc/${pid}/fd`
  const names = await readdir(folder).catch(() => [])
  if (names.length === 0) return null
  const files = await Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => "")))
  return new Set(files)
}

/** What changes while a process does anything: its processor time. */
async function doneBy(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .join(" ")
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(folder, name)).catch(() => null))?.size ?? 0),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function disordered(table: string): BackupError {
  return new BackupError("incomplete", `mydumper's files of ${table} are not in the order of its rows; ${NOT_WHOLE}`, {
    hint: "back up again; if it stays, leave dump=mydumper out of the URL",
  })
}
