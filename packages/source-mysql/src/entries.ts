// The entries of a server: folders, files of SQL that are read as they are wanted, and what `server.json` says.

import type { SourceEntry } from "@backup-cloud/format"
import type { Position } from "./cutter.ts"
import { type Part, schemaPath } from "./paths.ts"
import type { TableStats } from "./row-hash.ts"
import type { ServerFacts } from "./server.ts"
import type { FoundTool } from "./tool.ts"

export type Read = (signal: AbortSignal) => AsyncIterable<Uint8Array>

/** @param now the time of every entry */
export function entryMaker(now: Date, schemas: readonly string[]) {
  const mtime = `${Math.floor(now.getTime() / 1000)}.000000000`
  const own = { uid: 0, gid: 0, link: null, attributes: new Map<string, string>(), mtime }
  const folder = (path: string): SourceEntry => ({ ...own, type: "d", mode: 0o700, path, size: 0, content: null })
  const file = (path: string, read: Read): SourceEntry => ({
    ...{ ...own, type: "f", mode: 0o600, path, size: null },
    content: { kind: "stream", open: async (signal) => ({ attributes: own.attributes, bytes: read(signal) }) },
  })
  const eachSchema = (part: Part, read: (schema: string, signal: AbortSignal) => AsyncIterable<Uint8Array>) =>
    schemas.map((schema) => file(schemaPath(part, schema), (signal) => read(schema, signal)))
  return { folder, file, eachSchema }
}

export interface Seen {
  /** By schema and table; byte strings. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, TableStats>>
  readonly position: Position | null
  readonly gtid: string | null
}

/** What `server.json` says, and how it was dumped. */
interface Facts {
  readonly version: string
  readonly dumped_by: string
  readonly binlog: { readonly file: string; readonly position: number } | null
  readonly gtid: string | null
  readonly tables: Readonly<Record<string, Readonly<Record<string, { rows: number; sha256: string }>>>>
}

/** @param seen looked at when the text is read, which is after all that it tells of was */
export async function* factsText(
  { version, gtidExecuted }: ServerFacts,
  tools: readonly FoundTool[],
  seen: Seen,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { tables, position, gtid } = seen
  const text = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8")
  const facts: Facts = {
    version,
    dumped_by: tools.map((tool) => tool.version).join("; "),
    binlog: position === null ? null : { file: position.file, position: position.offset },
    gtid: gtidExecuted === "" ? gtid : gtidExecuted,
    tables: Object.fromEntries(
      [...tables].map(([schema, of]) => [
        text(schema),
        Object.fromEntries([...of].map(([table, stats]) => [text(table), stats])),
      ]),
    ),
  }
  yield Buffer.from(`${JSON.stringify(facts, null, 2)}\n`)
}
