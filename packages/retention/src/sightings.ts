// When this machine first saw each run, and that it was signed. In a directory whoever may write can set the time of a
// file; what was not there at the last look did not arrive before it, and what was seen once keeps its time.

import type { RememberedRun, Sightings } from "./sightings-file.ts"

export interface Seen {
  readonly source: string
  readonly run: string
  /** The highest number that is signed and valid; 0 for a run without a signature. */
  readonly number: number
  /** As the store says it now. */
  readonly arrived: Date
}

export interface Looked {
  readonly sightings: Sightings
  /** When the run arrived: what the store says, within what this machine knows. */
  readonly arrived: (source: string, run: string) => Date
  /** Runs that were signed when last looked at and are not so far any more, `<source>/<run>` each. */
  readonly lost: readonly string[]
}

/** @param before of the last look; `null` at the first, which believes the store */
export function look(before: Sightings | null, seen: readonly Seen[], now: Date): Looked {
  const runs: Record<string, RememberedRun> = {}
  const lost: string[] = []
  const earliest = before === null ? -Infinity : Date.parse(before.looked)
  for (const { source, run, number, arrived } of seen) {
    const key = `${source}/${run}`
    const known = before?.runs[key]
    if (known !== undefined && number < known.number) continue
    const within = new Date(Math.min(now.getTime(), Math.max(earliest, arrived.getTime())))
    if (known === undefined || number > known.number) runs[key] = { number, arrived: within.toISOString() }
    else runs[key] = known
  }
  for (const [key, known] of Object.entries(before?.runs ?? {})) {
    if (runs[key] !== undefined || known.number === 0) continue
    runs[key] = known
    lost.push(key)
  }
  return {
    sightings: { looked: now.toISOString(), runs },
    arrived: (source, run) => new Date(runs[`${source}/${run}`]?.arrived ?? now),
    lost,
  }
}
