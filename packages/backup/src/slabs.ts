// Buffers for sealed objects on their way to the store. Their number bounds what is in flight, and so the memory.

/** A fixed number of buffers of one size; the memory of one is touched only as far as it is filled. */
export class Slabs {
  readonly #size: number
  readonly #free: Buffer[] = []
  readonly #waiting: ((slab: Buffer) => void)[] = []
  #unmade: number

  /** @param size bytes of each */
  constructor(count: number, size: number) {
    this.#unmade = count
    this.#size = size
  }

  async take(): Promise<Buffer> {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#unmade > 0) {
      this.#unmade--
      return Buffer.allocUnsafeSlow(this.#size)
    }
    return await new Promise<Buffer>((resolve) => this.#waiting.push(resolve))
  }

  give(slab: Buffer): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(slab)
    else next(slab)
  }
}
