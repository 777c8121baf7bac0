// Compares the heads of a source's chain with those that this machine saw last. A head can only be followed, never
// vanish: one that is gone, or whose last receipt is gone, means that an older state was put back.

import { type Fault, names } from "@backup-cloud/format"
import type { Memory, TrustMemory } from "./memory.ts"
import { type Problem, problemError, unreadRuns, worst } from "./problems.ts"
import type { SourceRuns } from "./runs.ts"

/** What of the remembered is not there any more, as `alarm`; as `unavailable` where that cannot be told just now. */
export function rolledBack(memory: Memory | null, { source, runs, problems }: SourceRuns): Problem[] {
  const byId = new Map(runs.map((run) => [run.run, run]))
  const unread = unreadRuns(problems)
  return (memory?.heads[source] ?? []).flatMap(({ run, number, sums }): Problem[] => {
    const now = byId.get(run)
    if (now?.commits.some((commit) => commit.sums === sums) === true) return []
    const directory = names.runDirectory(source, run)
    if (unread.has(run))
      return [{ fault: "unavailable", object: directory, why: "was there before, and cannot be read now" }]
    if (now === undefined)
      return [{ fault: "alarm", object: directory, why: "was there and valid before, and is not any more" }]
    const object = directory + names.receipt(number)
    return [{ fault: "alarm", object, why: "was there and valid before; an older state was put in its place" }]
  })
}

const HINTS: Partial<Record<Fault, string>> = {
  alarm: "keep the archive as it is, and find out who put back an older state of it",
  unavailable: "try again once the store answers",
}

/**
 * Compares with what is remembered, then remembers the heads of these sources. Throws `alarm`, naming the object, if
 * one was rolled back, `unavailable` if that cannot be told now; call it before anything is built on these runs.
 */
export async function rememberRuns(home: TrustMemory, all: readonly SourceRuns[]): Promise<void> {
  const gravest = worst(await keepHeads(home, all))
  if (gravest !== null) throw problemError(gravest, HINTS[gravest.fault])
}

/**
 * Remembers the heads and gives what `rolledBack` does. A source with any of that, or whose runs are broken, keeps what
 * was remembered of it, so that the alarm does not fall silent by itself.
 */
export async function keepHeads(home: TrustMemory, all: readonly SourceRuns[]): Promise<Problem[]> {
  const memory = await home.read()
  if (memory === null) return []
  const heads = { ...memory.heads }
  const alarms: Problem[] = []
  for (const runs of all) {
    const gone = rolledBack(memory, runs)
    alarms.push(...gone)
    if (gone.length > 0 || runs.broken.length > 0) continue
    heads[runs.source] = runs.heads.map(({ run, number, sumsDigest }) => ({ run, number, sums: sumsDigest }))
  }
  await home.write({ ...memory, heads })
  return alarms
}
