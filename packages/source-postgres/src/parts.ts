// The files of a backup on their way back: what is small is taken into memory first, since a server needs it before the
// content, and lies after it in the archive.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { collect } from "./dump.ts"
import { parseRows, type Rows } from "./facts.ts"
import { GLOBALS, parsePath } from "./paths.ts"

/** A file of a backup, verified as it is read: `content` throws at its end if it was not what it must be. */
export interface RestoredFile {
  /** As text, relative to the top. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  content(): AsyncIterable<Uint8Array>
}

/** Files of one database. */
export interface DatabaseParts {
  /** The text of create.sql, a byte string. */
  readonly create: string | null
  /** What facts.json says. */
  readonly rows: Rows | null
}

export interface Parts {
  /** The text of globals.sql, a byte string. */
  readonly globals: string | null
  /** By name; those with a content.sql only. */
  readonly databases: ReadonlyMap<string, DatabaseParts>
}

/** Bytes of all files but content.sql. */
const MOST_SMALL = 64 * 1_048_576

/** Throws `usage` for a file that is no part of a backup of PostgreSQL, `refused` for one that is not what it must be. */
export async function readParts(files: AsyncIterable<RestoredFile>): Promise<Parts> {
  const databases = new Map<string, DatabaseParts>()
  const withContent = new Set<string>()
  let globals: string | null = null
  let bytes = 0
  for await (const file of files) {
    const parsed = parsePath(file.path)
    const shown = escapeControl(file.path)
    if (file.path !== GLOBALS && parsed === null)
      throw new BackupError("usage", `${shown} is no part of a PostgreSQL server; nothing was restored`)
    if (parsed?.part === "content.sql") {
      withContent.add(parsed.database)
      continue
    }
    bytes += file.size
    if (bytes > MOST_SMALL)
      throw new BackupError("refused", `${shown} is too large for what it is; nothing was restored`)
    const content = await collect(file.content())
    const text = content.toString("latin1")
    if (parsed === null) {
      globals = text
      continue
    }
    const before = databases.get(parsed.database) ?? { create: null, rows: null }
    const more = parsed.part === "create.sql" ? { create: text } : { rows: parseRows(content.toString("utf8"), shown) }
    databases.set(parsed.database, { ...before, ...more })
  }
  const whole = [...withContent].map((name) => [name, databases.get(name) ?? { create: null, rows: null }] as const)
  return { globals, databases: new Map(whole) }
}
