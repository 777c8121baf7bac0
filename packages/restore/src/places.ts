// Where the chunks of one volume go: 56 bytes for each place, in typed arrays, since a plan may hold millions.

/** A place: bytes of chunk `id` go to `offset` of the file with index `file`. */
export interface ChunkPlace {
  readonly id: string
  readonly length: number
  readonly file: number
  readonly offset: number
}

export class Places {
  #ids = Buffer.alloc(32 * 16)
  #numbers = new Float64Array(3 * 16)
  length = 0

  push(id: string, length: number, file: number, offset: number): void {
    if (this.length * 32 === this.#ids.length) {
      const ids = Buffer.alloc(this.#ids.length * 2)
      this.#ids.copy(ids)
      this.#ids = ids
      const numbers = new Float64Array(this.#numbers.length * 2)
      numbers.set(this.#numbers)
      this.#numbers = numbers
    }
    this.#ids.write(id, 32 * this.length, "hex")
    this.#numbers.set([length, file, offset], 3 * this.length)
    this.length++
  }

  /** Whether any place is in a file for which `test` holds. */
  some(test: (file: number) => boolean): boolean {
    for (let i = 0; i < this.length; i++) if (test(this.#numbers[3 * i + 1] ?? 0)) return true
    return false
  }

  /** The places in files for which `test` holds, by id of the chunk. */
  byId(test: (file: number) => boolean): Map<string, ChunkPlace[]> {
    const found = new Map<string, ChunkPlace[]>()
    for (const place of this) {
      if (!test(place.file)) continue
      const same = found.get(place.id)
      if (same === undefined) found.set(place.id, [place])
      else same.push(place)
    }
    return found
  }

  *[Symbol.iterator](): Generator<ChunkPlace, void, undefined> {
    for (let i = 0; i < this.length; i++) {
      const [length = 0, file = 0, offset = 0] = this.#numbers.subarray(3 * i, 3 * i + 3)
      yield { id: this.#ids.toString("hex", 32 * i, 32 * i + 32), length, file, offset }
    }
  }
}
