// runs, status, verify: what there is, and whether it is as it should be. None of them needs a key.

import { overdueDrills } from "@backup-cloud/drill"
import { BackupError, escapeControl, isFault } from "@backup-cloud/format"
import type { Trust } from "@backup-cloud/trust"
import { gravest, verifyWhole } from "backup-cloud/parts/verify"
import type { Command } from "commander"
import { overdueWords, resultsOf } from "../drill-results.ts"
import { size } from "../io.ts"
import { Metrics } from "../metrics.ts"
import { drillMetrics, mediaMetrics } from "../metrics-beside.ts"
import { ageTrouble, ageWords } from "../overdue.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

export function addReportCommands(root: Command, register: Register): void {
  register(root, "runs [name]", "all runs, newest last", async (session, [name]) => {
    await listRuns(session, name)
  })
  register(root, "status", "is all as it should be? exits 0 only then", async (session, _args, options) => {
    await status(session, options["metrics"])
  }).option("--metrics <file>", "where to put numbers for Prometheus' node_exporter, FILE.prom")
  register(root, "verify", "check every signature and every byte, without any key", async (session, _args, options) => {
    await verify(session, options["quick"] === true)
  }).option("--quick", "presence and length only")
}

async function listRuns(session: Session, name: string | undefined): Promise<void> {
  const trust = await session.trust()
  const sources = trust.policy.sources.filter((source) => name === undefined || source.name === name)
  if (sources.length === 0 && name !== undefined)
    throw new BackupError("not-found", `the policy has no source ${escapeControl(name)}`)
  for (const source of sources) {
    const { runs, broken, unfinished } = await session.runs(trust, source.name)
    for (const run of runs) {
      const { receipt } = run
      const about = `about ${size(receipt.bytes)}`
      const expired = run.expired === null ? "" : `  EXPIRED: taken away by expiry list ${run.expired}`
      const faults = run.problems.length > 0 ? `  ${run.problems.length} problems: see verify` : ""
      session.say(
        `${source.name}@${run.run}  ${receipt.outcome.padEnd(10)} ${receipt.finished}  ${about}${expired}${faults}`,
      )
      session.event({
        event: "run",
        source: source.name,
        run: run.run,
        outcome: receipt.outcome,
        finished: receipt.finished,
        bytes: receipt.bytes,
        expired: run.expired,
        problems: run.problems,
      })
    }
    for (const run of broken) session.say(`${source.name}@${run}  BROKEN: no signature of it counts`)
    for (const run of unfinished) session.note(`${source.name}@${run}  unfinished: interrupted or still running`)
  }
}

async function status(session: Session, file: unknown): Promise<void> {
  const metrics = new Metrics()
  const trust = await session.trust()
  const problems = trust.problems.map((problem) => `${problem.object}: ${problem.why}`)
  const now = session.io.now()
  const { problems: found } = await session.expiries(trust)
  // A source may not look at the lists, and that is as it should be.
  problems.push(...found.filter(({ fault }) => fault !== "refused").map((each) => `${each.object}: ${each.why}`))
  for (const source of trust.policy.sources) {
    if (source.keys.at(-1)?.accept_until !== "") continue
    const judged = await session.runs(trust, source.name)
    const last = judged.runs.findLast((run) => ["complete", "partial"].includes(run.receipt.outcome))
    problems.push(...judged.problems.map((problem) => `${problem.object}: ${problem.why}`))
    const trouble = ageTrouble(judged, source.schedule, now)
    if (trouble !== null) problems.push(`${source.name}: ${trouble.problem}`)
    const milliseconds = last === undefined ? null : now.getTime() - last.arrived.getTime()
    const age = milliseconds === null ? "never" : `${ageWords(milliseconds)} ago`
    session.say(`${source.name.padEnd(20)} last ${last?.receipt.outcome ?? "run"}: ${age}, ${judged.runs.length} runs`)
    metrics.set("runs", source.name, judged.runs.length)
    if (last !== undefined) {
      const { receipt, arrived } = last
      metrics.set("last_success_timestamp_seconds", source.name, arrived.getTime() / 1000)
      metrics.set("last_run_complete", source.name, receipt.outcome === "complete" ? 1 : 0)
      metrics.set("entries", source.name, receipt.entries)
      metrics.set("bytes", source.name, receipt.bytes)
      const unread = receipt.errors.map((line) => Number(line.split(" ")[1]))
      metrics.set(
        "unread_entries",
        source.name,
        unread.reduce((sum, count) => sum + count, 0),
      )
    }
    session.event({
      event: "source",
      source: source.name,
      last: last?.run ?? null,
      outcome: last?.receipt.outcome ?? null,
      hours: milliseconds === null ? null : milliseconds / 3_600_000,
      runs: judged.runs.length,
    })
  }
  const due = await overdueDrills(trust, resultsOf(session, trust), now).catch((error: unknown) => {
    // A source may see its own runs and no drills.
    if (!isFault(error, "refused")) throw error
    session.note("Whether drills are overdue cannot be told with the rights of this machine.")
    return []
  })
  problems.push(...due.map(overdueWords))
  metrics.set("problems", null, problems.length)
  if (typeof file === "string") await besideMetrics(session, trust, metrics)
  await metrics.write(file)
  if (problems.length > 0)
    throw new BackupError("open-risk", problems.join("\n"), { hint: "backup-cloud verify says more" })
  session.say("All is as it should be, as far as receipts tell; verify reads every byte.")
  session.event({ event: "result", problems: 0 })
}

async function besideMetrics(session: Session, trust: Trust, metrics: Metrics): Promise<void> {
  for (const measure of [drillMetrics, mediaMetrics]) {
    try {
      await measure(session, trust, metrics)
    } catch (error) {
      // A source may look at neither drills nor disks, and its numbers are written all the same.
      if (!isFault(error, "refused")) throw error
    }
  }
}

async function verify(session: Session, quick: boolean): Promise<void> {
  const trust = await session.trust()
  const { io } = session
  const progress = session.progress("verify", "objects")
  let done = { bytes: 0, items: 0 }
  let total = { bytes: 0, items: 0 }
  session.doing("reading receipts and checking their signatures")
  const report = await verifyWhole(session, trust, {
    quick,
    signal: AbortSignal.any([io.signal, io.stop]),
    onEvent(event) {
      if (event.event === "problem") {
        session.say(`${event.fault.toUpperCase()}  ${escapeControl(event.object)}: ${escapeControl(event.why)}`)
        session.event({ ...event })
        return
      }
      // Each source tells what it has; only then its objects are looked at.
      if (event.event === "source") total = { bytes: total.bytes + event.bytes, items: total.items + event.objects }
      else {
        done = { bytes: done.bytes + event.bytes, items: done.items + 1 }
        progress?.update(done, quick ? { ...total, bytes: 0 } : total)
      }
    },
  })
  session.event({ event: "result", ...report })
  const error = gravest(report, session.archiveUrl)
  if (error !== null) throw error
  session.say(
    `${quick ? "Looked for" : "Read"} ${report.objects} objects of ${size(report.bytes)} in ${report.runs} runs: all as signed.`,
  )
}
