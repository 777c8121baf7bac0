// Entries kept as the lines they came as, without their chunks: some 150 bytes each instead of a thousand as objects.

import { type CatalogueEntry, encodeEntry, parseEntryLine } from "@backup-cloud/format"

const SLAB = 1_048_576

export class EntryTable {
  readonly #slabs: Buffer[] = []
  #used = SLAB
  /** Where each line starts: slab number times SLAB plus offset. */
  readonly #at: number[] = []

  get length(): number {
    return this.#at.length
  }

  /** Keeps an entry; returns its index. */
  push(entry: CatalogueEntry): number {
    const line = encodeEntry(entry.chunks.length === 0 ? entry : { ...entry, chunks: [] })
    const length = line.length
    if (this.#used + length > SLAB) {
      // A line longer than a slab gets one of its own.
      this.#slabs.push(Buffer.allocUnsafe(Math.max(SLAB, length)))
      this.#used = 0
    }
    const start = this.#used
    this.#slabs.at(-1)?.write(line, start, "latin1")
    this.#used = Math.min(SLAB, start + length)
    this.#at.push((this.#slabs.length - 1) * SLAB + start)
    return this.#at.length - 1
  }

  /** The entry with this index, without its chunks. */
  get(index: number): CatalogueEntry {
    const at = this.#at[index]
    if (at === undefined) throw new RangeError("no such entry")
    const slab = this.#slabs[Math.floor(at / SLAB)] ?? Buffer.alloc(0)
    const start = at % SLAB
    return parseEntryLine(slab.toString("latin1", start, slab.indexOf(10, start)), [])
  }

  *[Symbol.iterator](): Generator<CatalogueEntry, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.get(i)
  }
}
