// The walk itself, with synchronous calls: an asynchronous one costs several times the system call. Depth first, the
// children of a directory sorted by the bytes of their names: so the whole is sorted by path with `/` as byte 0. Memory
// is bounded by the names in the directories that are open, and by the paths of hard-linked files whose other names
// have not come yet.
//
// What vanishes between listing and looking is left out: it is as if it had gone before. What cannot be looked at, or
// listed, is a row with an error.

import { type BigIntStats, lstatSync, readdirSync, readlinkSync, realpathSync } from "node:fs"
import type { EntryType, Globs } from "@backup-cloud/format"
import type { Row } from "./rows.ts"

export interface WalkOptions {
  /** Byte string, absolute, no link. */
  readonly root: string
  readonly globs: Globs
  /** Record directories on other devices than the root's, but do not enter them. */
  readonly oneFileSystem: boolean
}

const S_IFMT = 0o170000
const types = new Map<number, EntryType>([
  [0o100000, "f"],
  [0o040000, "d"],
  [0o120000, "l"],
  [0o010000, "p"],
  [0o140000, "s"],
  [0o060000, "b"],
  [0o020000, "c"],
])

/** A directory that is being walked. */
interface Open {
  readonly path: string
  /** Sorted; `next` is the one to look at. */
  readonly names: readonly string[]
  next: number
  /** Whether it was taken itself, and so is what is below it. */
  readonly within: boolean
  /** Its own row, as long as nothing below it was taken that would need it. */
  pending: Row | null
}

/** Every row below `root`, the top first. Throws what the system says of a root that cannot be listed. */
export function* walk(options: WalkOptions): Generator<Row, void, undefined> {
  const { root, globs } = options
  const prefix = root === "/" ? "/" : `${root}/`
  const firstNames = new FirstNames()
  const top = lstatSync(native(root), { bigint: true })
  const names = list(root)
  yield { type: "d", path: ".", stats: top, link: null, error: null }
  const open: Open[] = [{ path: "", names, next: 0, within: false, pending: null }]
  for (let here = open.at(-1); here !== undefined; here = open.at(-1)) {
    const name = here.names[here.next++]
    if (name === undefined) {
      open.pop()
      continue
    }
    const path = here.path === "" ? name : `${here.path}/${name}`
    let row = look(prefix + path, path)
    if (row === null) continue
    // What could not be looked at may be a directory with something wanted in it.
    const verdict = globs.judge(path, row.type === "d" || row.type === "u", here.within)
    if (verdict === "leave") continue
    let listed: readonly string[] = []
    if (row.type === "d" && !(options.oneFileSystem && row.stats?.dev !== top.dev)) {
      try {
        listed = list(prefix + path)
      } catch (error) {
        const code = errorCode(error)
        if (code === "ENOENT") continue
        row = { ...row, error: code }
      }
    }
    if (verdict === "take" || row.error !== null) {
      for (const each of open) {
        if (each.pending !== null) yield each.pending
        each.pending = null
      }
      yield firstNames.check(row)
    }
    if (listed.length === 0) continue
    const pending = verdict === "look" ? row : null
    open.push({ path, names: listed, next: 0, within: verdict === "take", pending })
  }
}

/** The one entry, or `null` if it is gone. */
function look(file: string, path: string): Row | null {
  let stats: BigIntStats | undefined
  try {
    stats = lstatSync(native(file), { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return null
    const type = types.get(Number(stats.mode) & S_IFMT)
    if (type === undefined) return { type: "u", path, stats: null, link: null, error: "EFTYPE" }
    const link = type === "l" ? readlinkSync(native(file), "latin1") : null
    return { type, path, stats, link, error: null }
  } catch (error) {
    const code = errorCode(error)
    return code === "ENOENT" ? null : { type: "u", path, stats: null, link: null, error: code }
  }
}

/** Names as byte strings, sorted by their bytes. */
function list(directory: string): string[] {
  // The order of a string's code units is that of the bytes they stand for.
  return readdirSync(native(directory), "latin1").sort()
}

/** Where each inode with several names was met first. */
class FirstNames {
  readonly #seen = new Map<string, { readonly path: string; left: number }>()

  /** The row, as a hard link if the inode came before. */
  check(row: Row): Row {
    const { stats } = row
    if (stats === null || row.type === "d" || stats.nlink < 2n) return row
    // With the time of birth, an inode number that was freed and used again during the walk makes no false link.
    const key = `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`
    const first = this.#seen.get(key)
    if (first === undefined) {
      this.#seen.set(key, { path: row.path, left: Number(stats.nlink) - 1 })
      return row
    }
    first.left--
    if (first.left <= 0) this.#seen.delete(key)
    return { ...row, type: "h", link: first.path }
  }
}

/** The path that `root` leads to, links followed. @param root byte string */
export function realRoot(root: string): string {
  return realpathSync.native(native(root), "latin1")
}

const ascii = /^[\0-\x7f]*$/

/** A path for `node:fs`: as text where that is the same, since it costs less than bytes. */
export function native(bytes: string): string | Buffer {
  return ascii.test(bytes) ? bytes : Buffer.from(bytes, "latin1")
}

/** The system's word for `error`; what has none is a defect and is thrown on. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code
  throw error
}
