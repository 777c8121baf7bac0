// Rows that were loaded, read again: mydumper dumps their table once more, and its rows are cut to the lengths of the files that
// were loaded. So the bytes are the same if the rows are, with a server and a mydumper of the same version.

import { createHash } from "node:crypto"
import type { MysqlAccess } from "./access.ts"
import { findMydumper } from "./mydumper.ts"
import type { RowsPart } from "./paths.ts"
import { RowsDump } from "./rows-dump.ts"
import { bySizes, type RowsFile } from "./table-rows.ts"

/** Bytes of rows of a table that lie in memory. What a file holds and is being read is less than a half of it. */
const LIMIT = 268_435_456

interface Reading {
  readonly dump: RowsDump
  readonly files: AsyncGenerator<RowsFile, void, undefined>
  left: number
}

export class RowsBack {
  readonly #access: MysqlAccess
  /** Of each table the lengths of its files, in the order in which they were loaded. */
  readonly #sizes = new Map<string, number[]>()
  readonly #readings = new Map<string, Reading>()

  constructor(access: MysqlAccess) {
    this.#access = access
  }

  /** Told of each file that was loaded. @param size bytes */
  note({ schema, table }: RowsPart, size: number): void {
    const key = `${schema}.${table}`
    const sizes = this.#sizes.get(key) ?? []
    this.#sizes.set(key, sizes)
    sizes.push(size)
  }

  /**
   * The rows of the next file of a table, as the server has them now. With the last one comes whatever follows.
   * @param sha256 of the file: nothing is read after one that differs
   */
  async *read(part: RowsPart, sha256: string | null, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const key = `${part.schema}.${part.table}`
    const hash = createHash("sha256")
    let same = false
    try {
      const reading = this.#readings.get(key) ?? (await this.#start(part, signal))
      this.#readings.set(key, reading)
      reading.left--
      do {
        const next = await reading.files.next()
        if (next.done === true) break
        for await (const piece of reading.dump.read(next.value)) {
          hash.update(piece)
          yield piece
        }
      } while (reading.left <= 0)
      same = hash.digest("hex") === sha256
      if (reading.left > 0) return
      await reading.dump[Symbol.asyncDispose]()
      this.#readings.delete(key)
    } finally {
      if (!same) await this.#stop()
    }
  }

  async #start({ schema, table }: RowsPart, signal: AbortSignal): Promise<Reading> {
    const key = `${schema}.${table}`
    const sizes = this.#sizes.get(key) ?? []
    const dump = await RowsDump.start({
      ...{ tool: await findMydumper(this.#access.path), access: this.#access, signal, limit: LIMIT },
      ...{ chosen: { schemas: [schema], table, skip: [], threads: 1 }, tables: [key], endsPart: bySizes(sizes) },
    })
    return { dump, files: eachOf(dump), left: sizes.length }
  }

  async #stop(): Promise<void> {
    for (const { dump } of this.#readings.values()) await dump[Symbol.asyncDispose]()
    this.#readings.clear()
  }
}

async function* eachOf(dump: RowsDump): AsyncGenerator<RowsFile, void, undefined> {
  for await (const files of dump.files()) yield* files
}
