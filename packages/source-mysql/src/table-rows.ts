// The rows of one table on their way from mydumper's files to those of a run: one stream, cut anew where rows say so by their
// own bytes, since mydumper ends its files by their length, and a row that grows would move the ends of all that follow.

import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import { type Cut, Cutter, type EndsPart } from "./cutter.ts"

const INSERT = "INSERT INTO `"
/** A part ends with one of so many INSERTs, of some 64 KiB, and at the latest when it has so many bytes. */
const INSERTS_OF_PART = 256
const MOST_BYTES = 67_108_864
const BOTTOM = "COMMIT;\n"
/** Bytes of `;` and LF. */
const END_OF_INSERT = 2

/** Where parts end that are to be the same from day to day. */
export const byContent: EndsPart = (fresh, mark, bytes) =>
  fresh && (Math.imul(mark ^ (mark >>> 15), 0x2c1b3c6d) >>> 16) % INSERTS_OF_PART === 0
    ? true
    : fresh && bytes > MOST_BYTES

/** Where parts end that are to be as long as others were. */
export function bySizes(sizes: Iterable<number>): EndsPart {
  const left = [...sizes]
  return (_fresh, _mark, bytes) => {
    const ends = bytes >= (left[0] ?? Infinity)
    if (ends) left.shift()
    return ends
  }
}

export interface RowsFile {
  readonly schema: string
  readonly table: string
  readonly file: string
  readonly bytes: number
}

export class TableRows {
  readonly schema: string
  readonly table: string
  readonly cutter: Cutter
  readonly #folder: string
  readonly #onFile: (file: RowsFile) => void
  /** What mydumper's files begin with. */
  #settings: string | null = null
  #part: { readonly file: string; readonly handle: FileHandle; bytes: number } | null = null
  #count = 0

  /** @param onFile told of each file that is finished in `folder`, in order */
  constructor(schema: string, table: string, folder: string, endsPart: EndsPart, onFile: (file: RowsFile) => void) {
    this.schema = schema
    this.table = table
    this.cutter = new Cutter((fresh, mark, bytes) =>
      endsPart(fresh, mark, this.#top().length + bytes + END_OF_INSERT + BOTTOM.length),
    )
    this.#folder = folder
    this.#onFile = onFile
  }

  /** Bytes of the part that is not finished. */
  get pending(): number {
    return this.#part?.bytes ?? 0
  }

  /** Takes one of mydumper's files, in their order. Throws `incomplete` if it is not whole. */
  async take(pieces: AsyncIterable<Buffer>): Promise<void> {
    let begun = false
    for await (const piece of pieces) {
      if (begun) await this.#write(this.cutter.push(piece))
      else await this.#begin(piece)
      begun = true
    }
    if (!this.cutter.isAtRest) throw this.#strange("a file of it is not whole")
  }

  /** Every file begins with the same settings, which each part needs once. */
  async #begin(piece: Buffer): Promise<void> {
    const end = piece.indexOf(INSERT)
    const top = piece.subarray(0, Math.max(end, 0)).toString("latin1")
    if (end < 0 || !/^(?:\/\*!.*\n)*$/.test(top) || (this.#settings ?? top) !== top)
      throw this.#strange("it has another form")
    const marker = `${top}-- Current Database: \`${this.schema}\`\n`
    if (this.#settings === null) await this.#write(this.cutter.push(Buffer.from(marker, "latin1")))
    this.#settings = top
    await this.#write(this.cutter.push(piece.subarray(end)))
  }

  async #write(cuts: readonly Cut[]): Promise<void> {
    for (const cut of cuts) {
      if (!(cut instanceof Uint8Array)) {
        await this.#finish()
        continue
      }
      const part = (this.#part ??= await this.#open())
      await part.handle.writeFile(cut)
      part.bytes += cut.length
    }
  }

  async #open() {
    const file = join(this.#folder, `${this.schema}.${this.table}.${++this.#count}`)
    const handle = await open(file, "wx", 0o600)
    await handle.writeFile(this.#top())
    return { file, handle, bytes: 0 }
  }

  #top(): string {
    return `${this.cutter.header}USE \`${this.schema}\`;\nSTART TRANSACTION;\n`
  }

  async #finish(): Promise<void> {
    const part = this.#part
    this.#part = null
    if (part === null) return
    await part.handle.writeFile(BOTTOM)
    const bytes = (await part.handle.stat()).size
    await part.handle.close()
    this.#onFile({ schema: this.schema, table: this.table, file: part.file, bytes })
  }

  /** Finishes the part that there is, wherever it is. */
  async end(): Promise<void> {
    await this.#write(this.cutter.push(Buffer.from("\n")))
    await this.#finish()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#part?.handle.close()
    this.#part = null
  }

  #strange(what: string): BackupError {
    return new BackupError(
      "incomplete",
      `mydumper's files of ${this.schema}.${this.table}: ${what}; the backup is not whole`,
      { hint: "back up again; if it stays, leave dump=mydumper out of the URL" },
    )
  }
}
