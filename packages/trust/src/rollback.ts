// Compares the heads of a source's chain with those that this machine saw last. A head can only be followed, never
// vanish: one that is gone, or whose last receipt is gone, means that an older state was put back.

import { names } from "@backup-cloud/format"
import type { Memory, TrustMemory } from "./memory.ts"
import type { Problem } from "./problems.ts"
import type { SourceRuns } from "./runs.ts"

/** What of the remembered is not there any more, as `alarm`. */
export function rolledBack(memory: Memory | null, { source, runs }: SourceRuns): Problem[] {
  const byId = new Map(runs.map((run) => [run.run, run]))
  return (memory?.heads[source] ?? []).flatMap(({ run, number, sums }) => {
    const now = byId.get(run)
    if (now?.commits.some((commit) => commit.sums === sums) === true) return []
    const directory = names.runDirectory(source, run)
    if (now === undefined)
      return [{ fault: "alarm" as const, object: directory, why: "was there and valid before, and is not any more" }]
    const object = directory + names.receipt(number)
    return [{ fault: "alarm" as const, object, why: "was there and valid before; an older state was put in its place" }]
  })
}

/**
 * Remembers the heads of these sources. A source whose runs are broken or were rolled back keeps what was remembered of it, so that the alarm
 * does not fall silent by itself.
 */
export async function rememberRuns(home: TrustMemory, all: readonly SourceRuns[]): Promise<void> {
  const memory = await home.read()
  if (memory === null) return
  const fresh = all.filter((runs) => runs.broken.length === 0 && rolledBack(memory, runs).length === 0)
  const heads = Object.fromEntries(
    fresh.map(({ source, heads: now }) => [
      source,
      now.map(({ run, number, sumsDigest }) => ({ run, number, sums: sumsDigest })),
    ]),
  )
  await home.write({ ...memory, heads: { ...memory.heads, ...heads } })
}
