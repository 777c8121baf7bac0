// How much of a run is left. A run has a highest number of volumes, so it ends before what it would read next might not
// fit; what it holds by then is a checkpoint, and another run goes on from there.

import type { Job } from "./classify.ts"

/** Bytes of content that a full volume holds at least: its frames of about 1 MiB leave a few MiB at its end. */
const LEAST_HELD = 60_000_000

/** The jobs of one run, up to the one that might not fit. */
export class Room {
  readonly #most: number
  readonly #begun: () => number
  /** Volumes that jobs may begin which were handed out and are not placed. */
  #ahead = 0
  #full = false

  /**
   * @param most volumes of the run
   * @param begun how many volumes it has begun
   */
  constructor(most: number, begun: () => number) {
    this.#most = most
    this.#begun = begun
  }

  /** Whether the jobs ended before their last. */
  get full(): boolean {
    return this.#full
  }

  async *within(jobs: AsyncIterable<Job>): AsyncGenerator<Job, void, undefined> {
    for await (const job of jobs) {
      const need = mostVolumes(job)
      // What fills more than a run by its size alone is tried: it may be known, or small once compressed.
      const tried = this.#begun() === 0 && this.#ahead === 0
      if (need > 0 && !tried && this.#begun() + this.#ahead + need > this.#most) {
        this.#full = true
        return
      }
      this.#ahead += need
      yield job
    }
  }

  /** Told that the content of a job lies in volumes. */
  placed(job: Job): void {
    this.#ahead -= mostVolumes(job)
  }
}

/** Volumes that the job can begin, also where a checkpoint closes one before it. */
function mostVolumes({ items }: Job): number {
  const read = items.filter((item) => item.file >= 0)
  const bytes = read.reduce((sum, { entry }) => sum + (entry.size ?? 0), 0)
  return read.length === 0 ? 0 : Math.max(1, Math.ceil(bytes / LEAST_HELD))
}
