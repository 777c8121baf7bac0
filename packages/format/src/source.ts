// What every kind of source is: it yields entries in catalogue order, and the pipeline decides which of them to read.
// The way back is a target (target.ts).

/** What a source finds out about an entry without reading it. Paths and names are byte strings (percent.ts). */
export interface SourceEntry {
  readonly type: EntryType
  /** `.` for the top, else relative without leading `/`. */
  readonly path: string
  /** Permissions, set-id and sticky bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** As in the catalogue: `<seconds>.<nine digits>`. */
  readonly mtime: string
  /** Bytes of content a regular file says it has, 0 otherwise. */
  readonly size: number
  /** Target of a symbolic link, or path of the first name of a hard link; `null` otherwise. */
  readonly link: string | null
  /** Attributes by name, values as byte strings. `ctime` and `ino` tell changes where a source has them. */
  readonly attributes: ReadonlyMap<string, string>
  /** Where to read the content of an `f` entry; `null` for others and for what could not be looked at. */
  readonly content: Content | null
}

export type EntryType = "f" | "d" | "l" | "h" | "p" | "s" | "b" | "c" | "u"

/** A local file, which worker threads open by name. */
export interface Content {
  readonly kind: "file"
  /** Byte string, absolute. */
  readonly file: string
}

export interface Source {
  readonly kind: string
  /**
   * Every entry, sorted by path with `/` taken as byte 0, the top (`.`) first, a directory before what it holds. What
   * cannot be looked at is yielded with attribute `error`, never left out. Entries come in batches; at most
   * a few thousand in each.
   */
  entries(signal: AbortSignal): AsyncIterable<readonly SourceEntry[]>
}
