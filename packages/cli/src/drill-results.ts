// What drills have shown: the list of results, what is overdue, and how long a restore would take.

import { resolve } from "node:path"
import {
  drillResults,
  type Estimate,
  estimateFromDrills,
  estimateFromSample,
  type JudgedResult,
  type OverdueDrill,
  overdueDrills,
} from "@backup-cloud/drill"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { provedKey } from "@backup-cloud/retention"
import type { Trust } from "@backup-cloud/trust"
import { type DrillKey, openForDrill, ownResults, publishFile } from "backup-cloud/parts/drill"
import { findRun } from "backup-cloud/parts/run-name"
import { size } from "./io.ts"
import { ageWords } from "./overdue.ts"
import type { Session } from "./session.ts"

/** Those of the archive and, behind them, those that only this home has. */
export async function* resultsOf(session: Session, trust: Trust): AsyncGenerator<JudgedResult> {
  const { signal } = session.io
  const seen = new Set<string>()
  for (const reader of [await session.store(), ownResults(session)])
    for await (const judged of drillResults(trust, reader, signal)) {
      if (seen.has(judged.name)) continue
      seen.add(judged.name)
      yield judged
    }
}

/** Runs that a drill in the archive has proved, as `planExpiry` knows them. */
export async function provedRuns(session: Session, trust: Trust): Promise<Set<string>> {
  const proved = new Set<string>()
  for await (const { result, why } of drillResults(trust, await session.store(), session.io.signal))
    if (why === null && result?.outcome === "passed") proved.add(provedKey(result))
  return proved
}

/** @param name of a source or a run of it; all if it is not given */
export async function listDrills(session: Session, name: string | undefined): Promise<void> {
  const trust = await session.trust()
  const results: JudgedResult[] = []
  for await (const judged of resultsOf(session, trust)) results.push(judged)
  for (const judged of results.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const { result, why, name: object } = judged
    if (name !== undefined && result !== null && ![result.source, `${result.source}@${result.run}`].includes(name))
      continue
    session.say(line(judged))
    session.event({ event: "drill", object, counts: why === null, why, result })
  }
  const due = await overdueDrills(trust, each(results.toReversed()), session.io.now())
  for (const one of due) session.say(overdueWords(one))
  session.event({ event: "result", drills: results.length, overdue: due.map(({ rule }) => rule.source) })
}

function line({ result, why, name }: JudgedResult): string {
  if (result === null) return `${name}  DOES NOT COUNT: ${why ?? ""}`
  const { source, run, outcome, finished, from, total_ms: total, reason } = result
  const where = from === "archive" ? "" : `  from medium ${from}`
  const words = `${source}@${run}  ${outcome.padEnd(6)} ${finished}  ${(total / 1000).toFixed(1)} s${where}`
  return `${words}${reason === "" ? "" : `  ${escapeControl(reason)}`}${why === null ? "" : `  DOES NOT COUNT: ${why}`}`
}

async function* each<T>(list: readonly T[]): AsyncGenerator<T> {
  yield* list
}

/** What `drill --list` and `status` say of a source whose drill is overdue. */
export function overdueWords({ rule, last }: OverdueDrill): string {
  const how = last?.result == null ? "it never passed one" : `the last that it passed was on ${last.result.finished}`
  return `${rule.source}: a drill is overdue, meant every ${rule.every_days} days; ${how}`
}

export async function publishResults(session: Session, files: readonly string[]): Promise<void> {
  const trust = await session.trust()
  for (const file of files) {
    const result = await publishFile(session, trust, resolve(session.io.cwd, file))
    session.say(`The drill ${result.id} of ${result.source}@${result.run} is in the archive.`)
    session.event({ event: "published", id: result.id, source: result.source, run: result.run })
  }
}

/** @param name of a source or run; every source unless given */
export async function estimates(session: Session, name: string | undefined, opened: DrillKey | null): Promise<void> {
  if (opened !== null) {
    await estimateSample(session, name, opened)
    return
  }
  const trust = await session.trust()
  const results: JudgedResult[] = []
  for await (const judged of resultsOf(session, trust)) results.push(judged)
  const present = trust.policy.sources.filter((source) => source.keys.at(-1)?.accept_until === "")
  let all = 0
  for (const run of name === undefined ? present.map((source) => `${source.name}@latest`) : [runName(name)]) {
    const { run: chosen } = await findRun(session, run)
    const found = estimateFromDrills(chosen, results)
    if (found === null)
      throw new BackupError(
        "not-found",
        `nothing was measured yet that ${escapeControl(run)} could be estimated from`,
        {
          hint: "drill a run, or measure a few volumes: drill --estimate RUN with --release FILE or --verifier",
        },
      )
    say(session, run, found)
    all += found.milliseconds
  }
  if (name === undefined) session.say(`All of them, one after the other: about ${duration(all)}.`)
  session.event({ event: "result", milliseconds: all })
}

async function estimateSample(session: Session, name: string | undefined, opened: DrillKey): Promise<void> {
  if (name === undefined) throw new BackupError("usage", "a sample is of one run: name it; nothing was measured")
  const { now, signal } = session.io
  const run = runName(name)
  const { view } = await openForDrill(session, await findRun(session, run), opened)
  const found = await estimateFromSample(view, now, signal)
  if (found === null) throw new BackupError("not-found", `${escapeControl(run)} has no volumes; nothing was measured`)
  say(session, run, found)
  session.event({ event: "result", milliseconds: found.milliseconds })
}

const runName = (name: string): string => (name.includes("@") ? name : `${name}@latest`)

function say(session: Session, run: string, { milliseconds, rate, from, count, of }: Estimate): void {
  const basis =
    typeof of === "number"
      ? `${count} of its ${of} volumes, fetched and opened just now at ${size(Math.round(rate))}/s; writing files comes on top`
      : `${count} drills, the last of ${of.source} on ${of.finished}, at ${size(Math.round(rate))}/s; sizes are known to a power of two`
  session.say(`${run}: about ${duration(milliseconds)}, from ${basis}.`)
  session.event({ event: "estimate", run, milliseconds, rate, from, count })
}

const duration = (milliseconds: number): string =>
  milliseconds < 120_000 ? `${(milliseconds / 1000).toFixed(1)} s` : ageWords(milliseconds)
