// What the tests share: a source of a test's server, all that it yields, a restore of a run, and a source in whose midst
// something happens.

import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Source, SourceEntry } from "@backup-cloud/format"
import type { Machine } from "../../backup/test/machine.ts"
import {
  catalogueEntries,
  Erasing,
  openRoot,
  planRestore,
  type RestoreResult,
  restore,
} from "../../restore/src/index.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { type MysqlSourceOptions, type MysqlTargetOptions, mysqlSource, mysqlTarget } from "../src/index.ts"
import type { Server } from "./server.ts"

export const PASSWORD = "pass'word\"\\ #;"
/** The grants of the source's page. */
export const GRANTS = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR ON *.* TO saver"

/** What mydumper needs besides. */
export const MORE_GRANTS = "GRANT RELOAD ON *.* TO saver"

export function makeSaver(server: Server): void {
  server.sql(`CREATE USER saver IDENTIFIED BY '${PASSWORD.replace(/['\\]/g, "\\$&")}'; ${GRANTS}`)
}

/** Everything that a server can hold, but for names that mydumper cannot take. */
export function fillPlain(server: Server): void {
  const script = readFileSync(join(import.meta.dirname, "content.sql"), "latin1")
  const latin1 = (text: string): string => Buffer.from(text).toString("latin1")
  server.sql(script)
  server.sql(
    `GRANT EXECUTE ON FUNCTION shop.twice TO saver; DROP DATABASE \`${latin1("Straße/50%")}\`; DROP DATABASE \`a\`\`b -- '"\`;` +
      "RENAME TABLE shop.`odd\n-- Current Database: ``empty``` TO shop.odd; ALTER TABLE shop.odd CHANGE `col``umn` `col umn` INT; DROP DATABASE empty; CREATE TABLE shop.strange (id INT, `a'-- \"(` TEXT);" +
      "INSERT INTO shop.strange VALUES (1, 'x'), (NULL, NULL)",
  )
}

export function sourceOf(server: Server, more: Partial<MysqlSourceOptions> = {}): Source {
  const options = { schemas: [], now: () => new Date("2026-11-24T08:00:00.700Z") }
  return mysqlSource({ ...server.access("saver", PASSWORD), ...options, ...more })
}

/** Content by path, as runs have it: a character for each byte. What was listed is read when an empty batch says so. */
export async function contentOf(source: Source): Promise<Map<string, string>> {
  const content = new Map<string, string>()
  const listed: SourceEntry[] = []
  const readListed = async (): Promise<void> => {
    for (const entry of listed.splice(0)) {
      if (entry.content?.kind !== "stream") continue
      const { bytes } = await entry.content.open(signal)
      content.set(entry.path, Buffer.concat(await collect(bytes)).toString("latin1"))
    }
  }
  for await (const batch of source.entries(signal)) {
    listed.push(...batch)
    if (batch.length === 0) await readListed()
  }
  await readListed()
  return content
}

/** The same source; `happen` is called once, when so many bytes of the file have been read. */
export function amidst(source: Source, path: string, bytes: number, happen: () => Promise<void> | void): Source {
  const watch = (entry: SourceEntry): SourceEntry => {
    const { content } = entry
    if (content?.kind !== "stream" || entry.path !== path) return entry
    const watched = async function* (pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      let read = 0
      for await (const piece of pieces) {
        if (read < bytes && read + piece.length >= bytes) await happen()
        read += piece.length
        yield piece
      }
      if (read < bytes) throw new RangeError(`${path} has only ${read} bytes`)
    }
    const open: typeof content.open = async (s) => {
      const opened = await content.open(s)
      return { ...opened, bytes: watched(opened.bytes) }
    }
    return { ...entry, content: { kind: "stream", open } }
  }
  return {
    ...source,
    async *entries(s) {
      for await (const batch of source.entries(s)) yield batch.map(watch)
    },
  }
}

interface Wanted extends Partial<MysqlTargetOptions> {
  /** `latest` unless given. */
  readonly run?: string
  readonly verify?: boolean
  readonly wanted?: (path: string) => boolean
  readonly erasing?: Erasing
  /** Called after each file that was handed over whole. */
  readonly onCommit?: (path: string) => unknown
}

export async function restoreInto(
  machine: Machine,
  server: Server,
  { run = "latest", verify = false, wanted = () => true, erasing = new Erasing([]), onCommit, ...more }: Wanted = {},
): Promise<RestoreResult> {
  const view = { ...(await machine.view(machine.store, run)), erasing }
  const root = await openRoot(view, signal)
  const judge = (path: string, directory: boolean) => (directory ? "look" : wanted(path) ? "take" : "leave")
  const plan = await planRestore(() => catalogueEntries(view, root, signal), { judge })
  const options = { overwrite: false, staging: tmpdir() }
  const target = mysqlTarget({ ...server.access("root", null, { socket: server.socket }), ...options, ...more })
  const commit = target.commit.bind(target)
  target.commit = async (entry, s) => {
    await commit(entry, s)
    onCommit?.(entry.path)
  }
  return await restore({ view, plan, target, what: run, verify, onEvent: () => undefined, signal })
}
