// The chain that receipts form through `previous`, and what they use of one another. Digests make a cycle impossible, so
// whatever arrives in any order has one shape; the run ids play no part in it.

import { commonRanges, names, type RunParts, rangeNumbers, type Use } from "@backup-cloud/format"
import type { Expiries } from "./expiries.ts"
import type { Commit } from "./judge.ts"
import type { Problem } from "./problems.ts"
import type { JudgedRun } from "./runs.ts"

/** The runs that `run` names in `previous`, with the digest it names. */
function previousOf(run: JudgedRun): readonly { readonly run: string; readonly sums: string }[] {
  return run.receipt.previous.map((line) => {
    const [id = "", sums = ""] = line.split(" ")
    return { run: id, sums }
  })
}

/**
 * Adds to each run's problems what it refers to and what is not there as it says.
 * @param excused whether a run may lack something, because it cannot be read just now
 */
export function checkReferences(
  judged: ReadonlyMap<string, JudgedRun & { readonly problems: Problem[] }>,
  excused: (run: string) => boolean,
): void {
  const reported = new Set<string>()
  for (const run of judged.values()) {
    const note = (object: string, why: string): void => {
      if (reported.has(`${object} ${why}`)) return
      reported.add(`${object} ${why}`)
      run.problems.push({ fault: "tampered", object, why })
    }
    const find = (id: string, sums: string): Commit | null => {
      const directory = names.runDirectory(run.source, id)
      const other = judged.get(id)
      const commit = other?.commits.find((each) => each.sums === sums)
      if (commit !== undefined) return commit
      if (excused(id)) return null
      if (other === undefined) note(directory, "is missing or not valid, and a later run names it")
      else note(directory + names.sums(other.number + 1), "is missing or not valid, and a later run names it")
      return null
    }
    for (const { run: id, sums } of previousOf(run)) {
      const before = find(id, sums)
      if (before !== null && before.receipt.policy > run.receipt.policy)
        note(
          names.runDirectory(run.source, run.run) + names.receipt(run.number),
          `names policy ${run.receipt.policy}, and the run ${id} before it policy ${before.receipt.policy}`,
        )
    }
    for (const use of run.receipt.uses) {
      const other = find(use.run, use.sums) === null ? undefined : judged.get(use.run)
      if (other === undefined) continue
      for (const base of usedObjects(use))
        if (!other.objects.has(base))
          note(names.runDirectory(run.source, use.run) + base, "is used by a later run, and no receipt lists it")
    }
  }
}

/**
 * What does not go together with the expiry lists: a run that is kept and needs what a list takes away is told among its
 * problems; that the receipts of an expired run are gone, which stay, is given.
 * @param unread runs that cannot be read just now
 */
export function checkExpired(
  source: string,
  judged: ReadonlyMap<string, JudgedRun & { readonly problems: Problem[] }>,
  expiries: Expiries,
  unread: ReadonlySet<string>,
): Problem[] {
  const lost: Problem[] = []
  for (const [run, { list, sums }] of expiries.of(source)) {
    if (sums === "" || unread.has(run)) continue
    if (judged.get(run)?.commits.some((commit) => commit.sums === sums) === true) continue
    const object = names.runDirectory(source, run)
    lost.push({ fault: "tampered", object, why: `has no valid receipts, which expiry list ${list} left there` })
  }
  for (const { run, receipt, problems } of judged.values()) {
    if (expiries.find(source, run) !== null) continue
    for (const use of receipt.uses) {
      const found = expiries.find(source, use.run)
      const [base] = found === null ? [] : takenOf(use, found.parts)
      if (base === undefined) continue
      const object = names.runDirectory(source, use.run) + base
      const why = `is used by the run ${run}, which is kept, and expiry list ${found?.list ?? 0} takes it away`
      problems.push({ fault: "tampered", object, why })
    }
  }
  return lost
}

/** Base names of what a `uses` element needs and `parts` has. */
function* takenOf(use: Use, parts: RunParts): Generator<string> {
  for (const number of rangeNumbers(commonRanges(use.volumes, parts.volumes))) yield names.volume(number)
  for (const number of rangeNumbers(commonRanges(use.catalogues, parts.catalogues))) yield names.catalogue(number)
  if (parts.key) yield names.key
}

/** Base names of what a `uses` element needs of its run. */
export function* usedObjects(use: Use): Generator<string> {
  for (const number of rangeNumbers(use.volumes)) yield names.volume(number)
  for (const number of rangeNumbers(use.catalogues)) yield names.catalogue(number)
}

export function headsOf(runs: readonly JudgedRun[]): JudgedRun[] {
  const followed = new Set(runs.flatMap((run) => previousOf(run).map((each) => each.run)))
  return runs.filter((run) => !followed.has(run.run))
}

/** Every run after those it names in `previous`; among the free ones, the earliest arrival first. */
export function chainOrder(runs: readonly JudgedRun[]): JudgedRun[] {
  const early = (a: JudgedRun, b: JudgedRun): number =>
    a.arrived.getTime() - b.arrived.getTime() || (a.run < b.run ? -1 : 1)
  const byId = new Map(runs.map((run) => [run.run, run]))
  const placed = new Set<string>()
  const ordered: JudgedRun[] = []
  // Depth first from the earliest arrival, without recursion: a chain can be 10^5 runs long.
  for (const start of [...runs].sort(early)) {
    const stack = [start]
    // A source that lies can name runs in a circle by id; then the circle is cut where it was entered.
    const entered = new Set([start.run])
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const waiting = previousOf(top)
        .map((each) => byId.get(each.run))
        .find((each) => each !== undefined && !placed.has(each.run) && !entered.has(each.run))
      if (waiting !== undefined) {
        entered.add(waiting.run)
        stack.push(waiting)
        continue
      }
      stack.pop()
      if (placed.has(top.run)) continue
      placed.add(top.run)
      ordered.push(top)
    }
  }
  return ordered
}
