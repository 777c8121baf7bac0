// What a run came to use of earlier ones, for its receipt.

import { type ChunkRef, encodeRanges, type Root, type Use } from "@backup-cloud/format"

export class Used {
  readonly #own: string
  readonly #volumes = new Map<string, Set<number>>()

  /** @param own id of the run itself, whose volumes need no naming */
  constructor(own: string) {
    this.#own = own
  }

  add(chunks: readonly ChunkRef[]): void {
    for (const { run, volume } of chunks) {
      if (run === this.#own) continue
      const set = this.#volumes.get(run)
      if (set === undefined) this.#volumes.set(run, new Set([volume]))
      else set.add(volume)
    }
  }

  /** The receipt's `uses`. @param sums digest of the sums of each earlier run */
  list(catalogue: Root["catalogue"], sums: (run: string) => string): Use[] {
    const catalogues = new Used(this.#own)
    catalogues.add(catalogue.chunks)
    const runs = [...new Set([...this.#volumes.keys(), ...catalogues.#volumes.keys()])].sort()
    return runs.map((run) => ({
      run,
      sums: sums(run),
      volumes: encodeRanges(this.#volumes.get(run) ?? []),
      catalogues: encodeRanges(catalogues.#volumes.get(run) ?? []),
    }))
  }
}
