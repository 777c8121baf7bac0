// Which chunks are known, and where they lie: open addressing in typed arrays, about 40 bytes a chunk, since a JavaScript
// map would take five times as much. The first 16 bytes of the id are the key: ids are outputs of HMAC, so that two
// chunks of one source share them with probability 2^-64 only after 2^32 chunks.

/** Chunks shorter than this never enter: an unchanged file keeps its reference anyway. Bytes. */
export const LEAST_INDEXED = 4_096

export interface Place {
  readonly run: string
  readonly volume: number
}

export class ChunkIndex {
  #runs: string[] = []
  #size = 0
  #capacity = 1 << 12
  #keys = new Uint32Array(4 * this.#capacity)
  /** 0: free. */
  #run = new Uint16Array(this.#capacity)
  #volume = new Uint32Array(this.#capacity)
  readonly #words = new Uint32Array(4)

  get size(): number {
    return this.#size
  }

  /** Where the chunk lies; `null` if it is not known. @param id 64 hex digits */
  get(id: string): Place | null {
    const slot = this.#find(id)
    const run = this.#runs[(this.#run[slot] ?? 0) - 1]
    return run === undefined ? null : { run, volume: this.#volume[slot] ?? 0 }
  }

  /** Enters a chunk, or moves it. Volume 0 stands for one that is being packed. */
  set(id: string, place: Place): void {
    if (this.#size * 3 > this.#capacity * 2) this.#grow()
    const slot = this.#find(id)
    if (this.#run[slot] === 0) this.#size++
    this.#keys.set(this.#words, 4 * slot)
    this.#run[slot] = this.#runNumber(place.run)
    this.#volume[slot] = place.volume
  }

  #runNumber(run: string): number {
    const known = this.#runs.indexOf(run)
    return known >= 0 ? known + 1 : this.#runs.push(run)
  }

  /** The slot of the chunk, or the free one where it belongs; its key is left in `#words`. */
  #find(id: string): number {
    for (let i = 0; i < 4; i++) this.#words[i] = Number.parseInt(id.slice(8 * i, 8 * i + 8), 16)
    return this.#findWords()
  }

  #findWords(): number {
    const [a, b, c, d] = this.#words
    let slot = (a ?? 0) & (this.#capacity - 1)
    while (this.#run[slot] !== 0) {
      const k = 4 * slot
      if (this.#keys[k] === a && this.#keys[k + 1] === b && this.#keys[k + 2] === c && this.#keys[k + 3] === d) break
      slot = (slot + 1) & (this.#capacity - 1)
    }
    return slot
  }

  #grow(): void {
    const [keys, runs, volumes] = [this.#keys, this.#run, this.#volume]
    this.#capacity *= 2
    this.#keys = new Uint32Array(4 * this.#capacity)
    this.#run = new Uint16Array(this.#capacity)
    this.#volume = new Uint32Array(this.#capacity)
    for (let old = 0; old < runs.length; old++) {
      if (runs[old] === 0) continue
      this.#words.set(keys.subarray(4 * old, 4 * old + 4))
      const slot = this.#findWords()
      this.#keys.set(this.#words, 4 * slot)
      this.#run[slot] = runs[old] ?? 0
      this.#volume[slot] = volumes[old] ?? 0
    }
  }
}

/** Short chunks of one generation: more than six volumes hold. */
const GENERATION = 400_000

/**
 * What is known: chunks of some length for good, short ones for as long as a volume that is being filled could hold them,
 * since no volume may hold a chunk twice. Memory stays bounded with any number of short files.
 */
export class Known {
  readonly #index = new ChunkIndex()
  readonly #earlier: (id: string) => Place | null
  #young = new ChunkIndex()
  #old = new ChunkIndex()

  /** @param earlier where a chunk of some length lies in earlier runs, if it may be used there */
  constructor(earlier: (id: string) => Place | null) {
    this.#earlier = earlier
  }

  get(id: string, length: number): Place | null {
    if (length >= LEAST_INDEXED) return this.#index.get(id) ?? this.#earlier(id)
    return this.#young.get(id) ?? this.#old.get(id)
  }

  set(id: string, length: number, place: Place): void {
    if (length >= LEAST_INDEXED) {
      this.#index.set(id, place)
      return
    }
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young
      this.#young = new ChunkIndex()
    }
    this.#young.set(id, place)
  }
}
