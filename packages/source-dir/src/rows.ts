// Entries on their way from the walker's thread: columns, since a message of a thousand objects takes several times as
// long to copy as one of a few arrays.

import type { BigIntStats } from "node:fs"
import { type EntryType, type SourceEntry, statFields } from "@backup-cloud/format"

/** A batch of entries. Strings are byte strings. */
export interface Rows {
  /** A letter for each row. */
  readonly types: string
  readonly paths: readonly string[]
  readonly modes: Uint32Array
  readonly uids: Uint32Array
  readonly gids: Uint32Array
  readonly sizes: Float64Array
  readonly mtimes: readonly string[]
  /** Empty where the entry could not be looked at; so is `inos`. */
  readonly ctimes: readonly string[]
  readonly inos: readonly string[]
  readonly links: ReadonlyMap<number, string>
  /** What few entries have: `device`, `error`, `sparse`. */
  readonly devices: ReadonlyMap<number, string>
  readonly errors: ReadonlyMap<number, string>
  readonly sparse: ReadonlySet<number>
}

/** What the walker finds out about one entry. */
export interface Row {
  readonly type: EntryType
  readonly path: string
  /** `null` for what could not be looked at. */
  readonly stats: BigIntStats | null
  readonly link: string | null
  readonly error: string | null
}

export function encodeRows(rows: readonly Row[]): Rows {
  const count = rows.length
  const batch = {
    types: rows.map((row) => row.type).join(""),
    paths: rows.map((row) => row.path),
    modes: new Uint32Array(count),
    uids: new Uint32Array(count),
    gids: new Uint32Array(count),
    sizes: new Float64Array(count),
    mtimes: new Array<string>(count).fill("0.000000000"),
    ctimes: new Array<string>(count).fill(""),
    inos: new Array<string>(count).fill(""),
    links: new Map<number, string>(),
    devices: new Map<number, string>(),
    errors: new Map<number, string>(),
    sparse: new Set<number>(),
  }
  for (const [i, row] of rows.entries()) {
    if (row.link !== null) batch.links.set(i, row.link)
    if (row.error !== null) batch.errors.set(i, row.error)
    if (row.stats === null) continue
    const fields = statFields(row.stats)
    batch.modes[i] = fields.mode
    batch.uids[i] = fields.uid
    batch.gids[i] = fields.gid
    batch.mtimes[i] = fields.mtime
    batch.ctimes[i] = fields.ctime
    batch.inos[i] = fields.ino
    if (row.type === "b" || row.type === "c") batch.devices.set(i, deviceField(row.stats.rdev))
    if (row.type !== "f") continue
    batch.sizes[i] = fields.size
    if (row.stats.blocks * 512n < row.stats.size) batch.sparse.add(i)
  }
  return batch
}

/** `<major>,<minor>` of a device number as Linux has it (makedev in sys/sysmacros.h). */
function deviceField(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)
  return `${major},${minor}`
}

/** @param root where the walk began, an absolute byte string */
export function decodeRows(rows: Rows, root: string): SourceEntry[] {
  const prefix = root === "/" ? "/" : `${root}/`
  return rows.paths.map((path, i) => {
    const type = rows.types[i] as EntryType
    const error = rows.errors.get(i)
    return {
      type,
      path,
      mode: rows.modes[i] ?? 0,
      uid: rows.uids[i] ?? 0,
      gid: rows.gids[i] ?? 0,
      mtime: rows.mtimes[i] ?? "",
      size: rows.sizes[i] ?? 0,
      link: rows.links.get(i) ?? null,
      attributes: attributes(rows, i, error),
      content: type === "f" ? { kind: "file", file: prefix + path } : null,
    }
  })
}

/** In the order of their names. */
function attributes(rows: Rows, i: number, error: string | undefined): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const ctime = rows.ctimes[i] ?? ""
  const device = rows.devices.get(i)
  if (ctime !== "") found.set("ctime", ctime)
  if (device !== undefined) found.set("device", device)
  if (error !== undefined) found.set("error", error)
  if (ctime !== "") found.set("ino", rows.inos[i] ?? "")
  if (rows.sparse.has(i)) found.set("sparse", "1")
  return found
}
