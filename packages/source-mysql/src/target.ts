// Restores into a server through its client: what the paths' numbers say first is loaded first, and a file as soon as it is
// whole and all files of lower numbers are loaded. Until then it lies in a file without a name, which ends with the process.
//
// Nothing that is there is replaced unless told. Not promised: that a file is loaded as a whole or not at all; servers commit
// definitions as they go. What broke off is told by the error, and is loaded again with `overwrite`.

import { randomBytes } from "node:crypto"
import { type FileHandle, open, unlink } from "node:fs/promises"
import { join } from "node:path"
import { buffer } from "node:stream/consumers"
import {
  BackupError,
  type CatalogueEntry,
  type ErasingTarget,
  escapeControl,
  fromByteString,
  type SqlErasure,
  type TargetProblem,
} from "@backup-cloud/format"
import { checkAccess, type MysqlAccess } from "./access.ts"
import { codeDump, TablesDump, usersDump } from "./dump.ts"
import { DEFINITIONS } from "./mydumper-source.ts"
import { isRows, makesSchema, partOf } from "./paths.ts"
import { query } from "./query.ts"
import { RowsBack } from "./rows-back.ts"
import { inspect } from "./server.ts"
import { type FoundTool, findTool, startTool } from "./tool.ts"

export interface MysqlTargetOptions extends MysqlAccess {
  readonly allowClear?: boolean
  /** Replace the tables, routines, views and users that are there and of the same name. */
  readonly overwrite: boolean
  /** Folder with room for the largest file: files there lose their names as soon as they are made. */
  readonly staging: string
}

/** Users that are there before anybody made one. */
const FIRST_USERS = ["root", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "rdsadmin", ""]

/**
 * Throws `conflict` for a schema that is there already, or users if users are restored; `refused` without the rights,
 * `unavailable` if the server does not answer or is full, `incomplete` for SQL that it does not take.
 *
 * Read back, a file is dumped from the server again: the same bytes if server and programs are of the same version.
 */
export function mysqlTarget(options: MysqlTargetOptions): ErasingTarget {
  checkAccess(options, options.allowClear ?? false)
  return new MysqlTarget(options)
}

class MysqlTarget implements ErasingTarget {
  readonly #options: MysqlTargetOptions
  readonly #staged = new Map<string, FileHandle>()
  /** Paths that are expected and not loaded yet; whole ones are true. */
  readonly #waiting = new Map<string, boolean>()
  readonly #problems: TargetProblem[] = []
  #client: FoundTool | null = null
  #dump: FoundTool | null = null
  #loading: Promise<void> = Promise.resolve()
  /** Schemas that were there at the beginning. */
  #there: ReadonlySet<string> = new Set()
  /** Schemas whose tables were loaded. */
  readonly #loaded = new Set<string>()
  readonly #rowsBack: RowsBack

  constructor(options: MysqlTargetOptions) {
    this.#options = options
    this.#rowsBack = new RowsBack(options)
  }

  async begin(_what: string, signal: AbortSignal): Promise<void> {
    const { path } = this.#options
    this.#client = await findTool("client", path)
    this.#dump = await findTool("dump", path)
    const found = await this.#ask(["SCHEMA_NAME"], "FROM information_schema.SCHEMATA", signal)
    this.#there = new Set(found.map(([schema]) => String(schema)))
  }

  async has(entry: CatalogueEntry, signal: AbortSignal): Promise<boolean> {
    const part = partOf(entry.path)
    if (part === null) {
      this.#problem(entry, "is none of a server's files, and was not restored")
      return false
    }
    this.#waiting.set(entry.path, false)
    if (this.#options.overwrite || part === "facts") return false
    const conflict = (what: string, hint: string): never => {
      throw new BackupError("conflict", `${what}; nothing was restored`, {
        hint: `${hint}, or replace with --overwrite`,
      })
    }
    if (part === "users") {
      const users = await this.#ask(["User"], "FROM mysql.user WHERE User <> SUBSTRING_INDEX(USER(), '@', 1)", signal)
      const other = users.map(([user]) => String(user)).find((user) => !FIRST_USERS.includes(user))
      if (other !== undefined)
        conflict(`the server has users, ${escapeControl(other)} for one`, "choose files with --path")
    } else if ((isRows(part) || makesSchema(part)) && this.#there.has(part.schema)) {
      conflict(`the schema ${escapeControl(part.schema)} is there already`, "restore to another server")
    }
    return false
  }

  async write(entry: CatalogueEntry, offset: number, bytes: Uint8Array): Promise<void> {
    const handle = await this.#stage(entry)
    try {
      for (let done = 0; done < bytes.length; )
        done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
    } catch (cause) {
      throw this.#noRoom(entry, cause)
    }
  }

  async #stage(entry: CatalogueEntry): Promise<FileHandle> {
    const known = this.#staged.get(entry.path)
    if (known !== undefined) return known
    const file = join(this.#options.staging, `.backup-cloud-${randomBytes(16).toString("hex")}`)
    try {
      const handle = await open(file, "wx+", 0o600)
      this.#staged.set(entry.path, handle)
      await unlink(file)
      return handle
    } catch (cause) {
      throw this.#noRoom(entry, cause)
    }
  }

  #noRoom(entry: CatalogueEntry, cause: unknown): BackupError {
    const { staging } = this.#options
    return new BackupError("unavailable", `${staging} cannot be written; ${shown(entry)} was not restored`, {
      cause,
      hint: "make room for the largest file, or set TMPDIR to a place that has it",
    })
  }

  async *read(entry: CatalogueEntry, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const staged = this.#staged.get(entry.path)
    const part = partOf(entry.path)
    if (staged === undefined && isRows(part)) yield* this.#rowsBack.read(part, entry.sha256, signal)
    else if (staged === undefined) yield* this.#dumped(part, signal)
    else if (part !== "users" || this.#waiting.has(entry.path)) yield* contentOf(staged)
    else yield* this.#users(staged, signal)
  }

  /** The file, if all that it says is what the server has, perhaps beside other users; else what the server has. */
  async *#users(staged: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const file = await buffer(contentOf(staged))
    const now = await buffer(this.#dumped("users", signal))
    const lines = new Set(now.toString("latin1").split("\n"))
    yield file
      .toString("latin1")
      .split("\n")
      .every((line) => lines.has(line))
      ? file
      : now
  }

  async commit(entry: CatalogueEntry, signal: AbortSignal): Promise<void> {
    if (!this.#waiting.has(entry.path)) {
      await this.#drop(entry.path)
      return
    }
    await this.#stage(entry)
    this.#waiting.set(entry.path, true)
    await this.#loadReady(signal)
  }

  async discard(entry: CatalogueEntry): Promise<void> {
    this.#waiting.delete(entry.path)
    await this.#drop(entry.path)
  }

  async make(entry: CatalogueEntry): Promise<void> {
    if (entry.type !== "d") this.#problem(entry, "has no content in the backup, and was not restored")
  }

  async erase({ number, database, sql }: SqlErasure, signal: AbortSignal): Promise<"ran" | "apart"> {
    // What was discarded last may have held others up.
    await this.#loadReady(signal)
    if (!this.#loaded.has(database)) return "apart"
    const what = `the schema ${escapeControl(database)} still holds what erasure ${number} names: do not use it`
    await this.#run(once(sql), what, signal, `--database=${database}`)
    return "ran"
  }

  async finish(signal: AbortSignal): Promise<readonly TargetProblem[]> {
    await this.#loadReady(signal)
    for (const path of this.#staged.keys()) await this.#drop(path)
    return this.#problems
  }

  /** One at a time. */
  #loadReady(signal: AbortSignal): Promise<void> {
    this.#loading = this.#loading.then(() => this.#loadNext(signal))
    return this.#loading
  }

  /** Loads what is whole and waits for nothing. */
  async #loadNext(signal: AbortSignal): Promise<void> {
    for (let path = this.#next(); path !== null; path = this.#next()) {
      const part = partOf(path)
      if (part !== "facts") await this.#load(path, signal)
      this.#waiting.delete(path)
      // Both are small, and can be compared only beside what the server has.
      if (part !== "facts" && part !== "users") await this.#drop(path)
    }
  }

  /** The first name of a path is its turn; rows of a table are loaded in their order. */
  #next(): string | null {
    const turnOf = (path: string): string => path.split("/", 1)[0] ?? ""
    let first: string | null = null
    for (const turn of [...this.#waiting.keys()].map(turnOf)) if (first === null || turn < first) first = turn
    const before = new Set<string>()
    for (const [path, whole] of this.#waiting) {
      if (turnOf(path) !== first) continue
      const part = partOf(path)
      const table = isRows(part) ? `${part.schema}.${part.table}` : path
      if (whole && !before.has(table)) return path
      before.add(table)
    }
    return null
  }

  async #load(path: string, signal: AbortSignal): Promise<void> {
    const staged = this.#staged.get(path)
    if (staged === undefined) throw new TypeError("nothing is staged")
    await this.#run(contentOf(staged), `${escapeControl(fromByteString(path))} is loaded in part at most`, signal)
    const part = partOf(path)
    if (isRows(part)) this.#rowsBack.note(part, (await staged.stat()).size)
    if (part !== null && makesSchema(part)) this.#loaded.add(part.schema)
  }

  /** @param notDone what a failure means */
  async #run(
    sql: AsyncIterable<Uint8Array>,
    notDone: string,
    signal: AbortSignal,
    ...more: readonly string[]
  ): Promise<void> {
    if (this.#client === null) throw new TypeError("not begun")
    const args = ["--batch", "--binary-mode", "--comments", "--max-allowed-packet=1G", ...more]
    const running = await startTool(this.#client, this.#options, args, signal)
    const stop = (): void => void running.stop()
    signal.addEventListener("abort", stop, { once: true })
    try {
      running.stdout.resume()
      await running.feed(sql, signal)
      await running.success(notDone)
    } finally {
      signal.removeEventListener("abort", stop)
      await running.stop()
    }
  }

  async #drop(path: string): Promise<void> {
    const staged = this.#staged.get(path)
    this.#staged.delete(path)
    await staged?.close()
  }

  /** What the server has now of a part. */
  async *#dumped(part: ReturnType<typeof partOf>, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#client === null || this.#dump === null || part === null || part === "facts" || isRows(part)) return
    if (part === "users") {
      yield* usersDump(this.#dump, this.#options, signal)
      return
    }
    if (part.part === "code") {
      yield* codeDump(this.#dump, this.#options, part.schema, signal)
      return
    }
    const facts = { ...(await inspect(this.#client, this.#options, [part.schema], signal)), hasPosition: false }
    const more = part.part === "definitions" ? DEFINITIONS : []
    const dump = new TablesDump(this.#dump, this.#options, facts, more)
    for (const isView of [false, true])
      for await (const piece of dump.part(part.schema, isView, signal))
        if (isView === (part.part === "views")) yield piece
  }

  async #ask(columns: readonly string[], rest: string, signal: AbortSignal) {
    if (this.#client === null) throw new TypeError("not begun")
    return await query(this.#client, this.#options, columns, rest, signal)
  }

  #problem(entry: CatalogueEntry, why: string): void {
    this.#problems.push({ path: entry.path, why, expected: false })
  }
}

const contentOf = (staged: FileHandle): AsyncIterable<Uint8Array> =>
  staged.createReadStream({ start: 0, autoClose: false })

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const shown = (entry: CatalogueEntry): string => escapeControl(fromByteString(entry.path))
