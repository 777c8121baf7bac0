// How many rows a table has and the hash of them, while they pass.

import { createHash, type Hash } from "node:crypto"

export interface TableStats {
  rows: number
  /** Of every row `(…)` as it was dumped, each ended by LF, in the order of the dump. */
  sha256: string
}

export const noRows = (): TableStats => ({ rows: 0, sha256: createHash("sha256").digest("hex") })

const LF = 0x0a

/** The hash of a table's rows; short ones are gathered first. */
export class RowHash {
  readonly #stats: TableStats
  readonly #hash: Hash = createHash("sha256")
  readonly #buffer = Buffer.allocUnsafe(65_536)
  #used = 0

  constructor(stats: TableStats) {
    this.#stats = stats
  }

  update(bytes: Buffer): void {
    if (this.#used + bytes.length >= this.#buffer.length) this.#flush()
    if (bytes.length >= this.#buffer.length) this.#hash.update(bytes)
    else this.#used += bytes.copy(this.#buffer, this.#used)
  }

  /** A row has ended. */
  end(): void {
    this.#stats.rows++
    if (this.#used === this.#buffer.length) this.#flush()
    this.#buffer[this.#used++] = LF
  }

  /** Enters the hash of all rows so far; more may come. */
  digest(): void {
    this.#flush()
    this.#stats.sha256 = this.#hash.copy().digest("hex")
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#used))
    this.#used = 0
  }
}
