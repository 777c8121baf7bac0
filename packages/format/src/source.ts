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
  /**
   * Bytes of content a regular file says it has, 0 otherwise. `null`, of stream content alone, if that is not known before
   * it is read: then it does not count when changes are looked for.
   */
  readonly size: number | null
  /** Target of a symbolic link, or path of the first name of a hard link; `null` otherwise. */
  readonly link: string | null
  /** Attributes by name, values as byte strings. `ctime` and `ino` tell changes where a source has them. */
  readonly attributes: ReadonlyMap<string, string>
  /** Where to read the content of an `f` entry; `null` for others and for what could not be looked at. */
  readonly content: Content | null
}

export type EntryType = "f" | "d" | "l" | "h" | "p" | "s" | "b" | "c" | "u"

export type Content = FileContent | StreamContent

/** A local file, which worker threads open by name. */
export interface FileContent {
  readonly kind: "file"
  /** Byte string, absolute. */
  readonly file: string
}

/** Content that arrives: an object of a bucket, what a program puts out. */
export interface StreamContent {
  readonly kind: "stream"
  /**
   * Called at most once, some time after the entry was listed, and up to `STREAMS_AHEAD` at the same time. It and the bytes
   * throw `EntryError` if this entry cannot be had and the others can; a BackupError with fault `incomplete` if what
   * produces it broke off, which makes the whole run a `failed` one; anything else ends the run with nothing committed.
   */
  open(signal: AbortSignal): Promise<OpenedContent>
}

export interface OpenedContent {
  /** What is known only now; of the same name, it takes the place of the listing's. */
  readonly attributes: ReadonlyMap<string, string>
  /** A piece was taken, and its memory may be used again, when the next one is asked for. */
  readonly bytes: AsyncIterable<Uint8Array>
}

/** Streams of a source that are opened before the bytes of the first of them have all been read. */
export const STREAMS_AHEAD = 16

/** One entry cannot be read, and is kept as far as it was listed; the run goes on, and is `partial`. */
export class EntryError extends Error {
  override readonly name = "EntryError"
  /** Why: a word such as `ENOENT`, which becomes attribute `error`. With `changed`, what was read until then is kept. */
  readonly word: string

  constructor(word: string, options?: ErrorOptions) {
    super(word, options)
    if (!/^[A-Za-z0-9-]+$/.test(word)) throw new RangeError(`${word} is not one word`)
    this.word = word
  }
}

export interface Source {
  readonly kind: string
  /**
   * Attributes that, with time and known size, tell whether content has changed since the last run. An entry that has none of
   * them is read again each time. Of unchanged stream content, attributes that the listing does not have are kept.
   */
  readonly identity: readonly string[]
  /**
   * Every entry, sorted by path with `/` taken as byte 0, the top (`.`) first, a directory before what it holds. What
   * cannot be looked at is yielded with attribute `error`, never left out. Entries come in batches; at most
   * a few thousand in each. After an empty batch what was listed is read before more is asked for, so a source may wait for that.
   */
  entries(signal: AbortSignal): AsyncIterable<readonly SourceEntry[]>
}
