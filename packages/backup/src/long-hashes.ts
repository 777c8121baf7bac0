// Digests of files that span pieces, inside the worker thread that packs those: it is given the content of a job's files in
// order, and has it before frames take its place.

import { createHash, type Hash } from "node:crypto"
import type { Unhashed } from "./messages.ts"

export class LongHashes {
  /** Of the file that each job is in the middle of. */
  readonly #open = new Map<number, Hash>()

  /** Takes what lies in `slot` of files of `job`; the digests (hex) of those that end. */
  take(job: number, slot: Buffer, unhashed: readonly Unhashed[]): string[] {
    const digests: string[] = []
    for (const { start, end, last } of unhashed) {
      const hash = this.#open.get(job) ?? createHash("sha256")
      this.#open.set(job, hash.update(slot.subarray(start, end)))
      if (!last) continue
      digests.push(hash.digest("hex"))
      this.#open.delete(job)
    }
    return digests
  }
}
