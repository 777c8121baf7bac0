// How long a full restore would take, from what was measured: earlier drills, or a few volumes that are opened now.

import { type DrillResult, names, parseRanges } from "@backup-cloud/format"
import { locate, openObject, type RunReader, type RunView } from "@backup-cloud/restore"
import type { JudgedResult } from "./results.ts"

export interface Estimate {
  /** Of the whole restore. */
  readonly milliseconds: number
  /** Bytes a second: of data with `drills`, of sealed volumes with `sample`. */
  readonly rate: number
  readonly from: "drills" | "sample"
  /** How many drills or volumes it is made from. */
  readonly count: number
  /** Of how many volumes, with `sample`; of the last drill, with `drills`. */
  readonly of: number | DrillResult
}

/** Drills that are looked at: the last ones count, since machines and networks change. */
const MOST_DRILLS = 5

/**
 * From drills that count and brought everything back, those of the same source if there are any; `null` without one. Both
 * sizes are known to a power of two, and so the estimate is up to twice or half of what is true.
 * @param results newest first
 */
export function estimateFromDrills(run: RunView, results: readonly JudgedResult[]): Estimate | null {
  const whole = results.flatMap(({ result, why }) =>
    result !== null && why === null && result.bytes > 0 && isWhole(result) ? [result] : [],
  )
  const own = whole.filter((result) => result.source === run.source)
  const used = (own.length > 0 ? own : whole).slice(0, MOST_DRILLS)
  const [last] = used
  if (last === undefined) return null
  const sum = (of: (result: DrillResult) => number): number => used.reduce((total, each) => total + of(each), 0)
  const first = sum((each) => each.first_byte_ms) / used.length
  const perByte = sum((each) => Math.max(1, each.total_ms - each.first_byte_ms)) / sum((each) => each.bytes)
  const milliseconds = Math.round(first + perByte * run.receipt.bytes)
  return { milliseconds, rate: 1000 / perByte, from: "drills", count: used.length, of: last }
}

function isWhole({ checks }: DrillResult): boolean {
  return checks.some(({ name, outcome }) => name === "restored" && outcome === "passed")
}

/** Volumes that a sample opens, the largest ones. */
const SAMPLE = 3

/**
 * From some volumes, fetched and opened, without writing files; `null` for a run that needs none. Throws as opening does:
 * `refused` if no secret opens one.
 */
export async function estimateFromSample(
  view: RunReader,
  now: () => Date,
  signal: AbortSignal,
): Promise<Estimate | null> {
  const volumes = neededVolumes(view).sort((a, b) => b.record.length - a.record.length)
  const sample = volumes.slice(0, SAMPLE)
  if (sample.length === 0) return null
  const bytes = (of: typeof volumes): number => of.reduce((sum, { record }) => sum + record.length, 0)
  const began = now().getTime()
  for (const volume of sample) await openObject(view, volume, signal)
  const perByte = Math.max(1, now().getTime() - began) / bytes(sample)
  return {
    milliseconds: Math.round(perByte * bytes(volumes)),
    rate: 1000 / perByte,
    ...{ from: "sample", count: sample.length, of: volumes.length },
  }
}

/** Every volume that the run needs, its own and those of earlier runs. */
function neededVolumes(view: RunReader) {
  const { run } = view
  const own = [...run.objects.keys()].flatMap((base) => {
    const number = Number(/^volume-([0-9]{8})/.exec(base)?.[1] ?? 0)
    return number > 0 && base === names.volume(number) ? [locate(view, "volume", run.run, number)] : []
  })
  const used = run.receipt.uses.flatMap((use) =>
    (parseRanges(use.volumes) ?? []).flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, i) => locate(view, "volume", use.run, first + i)),
    ),
  )
  return [...own, ...used]
}
