// Leaves out of a catalogue what must not come back. A directory takes with it what lies beneath; a file takes with it all of
// its other names, since each would bring its content back. What shares chunks with an erased file stays.
//
// Other names of a file may come before the one that is erased, so the catalogue is read once more before it is first given.

import {
  type CatalogueEntry,
  type Erasure,
  type Globs,
  globs,
  percentDecode,
  type SqlErasure,
} from "@backup-cloud/format"

/** How much was left out. */
export interface LeftOut {
  readonly entries: number
  readonly files: number
  /** Sum of the sizes of the files. */
  readonly bytes: number
}

/** An entry, and the number of the record for which it is left out; 0 if it is not. */
export interface JudgedEntry {
  readonly entry: CatalogueEntry
  readonly number: number
}

type Read = () => AsyncIterable<CatalogueEntry>

interface Rule {
  readonly number: number
  readonly paths: Globs | null
  /** Byte strings. */
  readonly files: ReadonlySet<string>
}

export class Erasing {
  readonly #rules: readonly Rule[]
  /** First names, as byte strings, of files of which another name is erased; `null` until the catalogue was read. */
  #firstNames: ReadonlyMap<string, number> | null = null
  #leftOut: LeftOut = { entries: 0, files: 0, bytes: 0 }
  readonly sql: readonly SqlErasure[]
  /** Of the records that concern the run. */
  readonly numbers: readonly number[]

  /** @param records those that concern the run */
  constructor(records: readonly Erasure[]) {
    this.numbers = records.map(({ number }) => number)
    this.#rules = records
      .filter(({ paths, files }) => paths.length + files.length > 0)
      .map(({ number, paths, files }) => ({
        number,
        paths: paths.length === 0 ? null : globs(paths, []),
        files: new Set(files.map((path) => percentDecode(path) ?? "")),
      }))
    this.sql = records
      .filter(({ sql }) => sql !== "")
      .map(({ number, database, sql }) => ({ number, database, sql: Buffer.from(sql, "base64") }))
  }

  /** Of the last time that the entries were read to their end. */
  get leftOut(): LeftOut {
    return this.#leftOut
  }

  /** The entries that come back. @param read gives the catalogue; called twice if something must be left out */
  entries(read: Read): AsyncIterable<CatalogueEntry> {
    // Nothing goes through more hands than it must: there may be a thousand million entries.
    return this.#rules.length === 0 ? read() : this.#staying(read)
  }

  async *#staying(read: Read): AsyncGenerator<CatalogueEntry, void, undefined> {
    for await (const { entry, number } of this.judged(read)) if (number === 0) yield entry
  }

  /** All entries, judged. @param read as for `entries` */
  async *judged(read: Read): AsyncGenerator<JudgedEntry, void, undefined> {
    const firstNames = await this.#namesOnce(read)
    const left = { entries: 0, files: 0, bytes: 0 }
    for await (const { entry, number: direct } of this.#direct(read)) {
      const number = direct === 0 ? this.#ofOtherName(entry, firstNames) : direct
      if (number > 0) {
        left.entries++
        left.files += entry.type === "f" ? 1 : 0
        left.bytes += entry.type === "f" ? entry.size : 0
      }
      yield { entry, number }
    }
    this.#leftOut = left
  }

  /** The number of the record that names the entry, or a directory above it. @param path byte string */
  numberOf(path: string, directory: boolean): number {
    const parts = path.split("/")
    for (let i = 1; i < parts.length; i++) {
      const number = this.#hit(parts.slice(0, i).join("/"), true)
      if (number > 0) return number
    }
    return this.#hit(path, directory)
  }

  async #namesOnce(read: Read): Promise<ReadonlyMap<string, number>> {
    if (this.#firstNames !== null) return this.#firstNames
    const found = new Map<string, number>()
    for await (const { entry, number } of this.#direct(read))
      if (number > 0 && entry.type === "h" && entry.link !== null) found.set(entry.link, number)
    return (this.#firstNames = found)
  }

  #ofOtherName({ type, path, link }: CatalogueEntry, firstNames: ReadonlyMap<string, number>): number {
    if (type !== "h") return firstNames.get(path) ?? 0
    return firstNames.get(link ?? "") ?? this.numberOf(link ?? "", false)
  }

  /** Judges by what the records name, in the catalogue's order: what a directory holds comes right after it. */
  async *#direct(read: Read): AsyncGenerator<JudgedEntry, void, undefined> {
    let above = { prefix: "", number: 0 }
    for await (const entry of read()) {
      const { path, type } = entry
      if (above.number > 0 && path.startsWith(above.prefix)) {
        yield { entry, number: above.number }
        continue
      }
      const number = path === "." ? 0 : this.#hit(path, type === "d")
      above = type === "d" ? { prefix: `${path}/`, number } : { prefix: "", number: 0 }
      yield { entry, number }
    }
  }

  #hit(path: string, directory: boolean): number {
    const rule = this.#rules.find(
      ({ paths, files }) => paths?.judge(path, directory, false) === "take" || (!directory && files.has(path)),
    )
    return rule?.number ?? 0
  }
}
