// backup: every named source, or every one whose keys are on this machine.

import type { BackupEvent, BackupResult } from "@backup-cloud/backup"
import { BackupError, escapeControl, fromByteString } from "@backup-cloud/format"
import type { Trust } from "@backup-cloud/trust"
import { backupSource, type SourceEvent } from "backup-cloud/parts/backup"
import { metricsLine } from "backup-cloud/parts/emf"
import { type Extent, readExtent, readSecrets } from "backup-cloud/parts/secrets"
import { type Command, Option } from "commander"
import { type SourceConfig, sourceConfig } from "../config.ts"
import { size } from "../io.ts"
import { openSource } from "../kinds.ts"
import { Metrics } from "../metrics.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

export function addBackupCommand(root: Command, register: Register): void {
  register(
    root,
    "backup [names...]",
    "back up; without names every source whose keys are here",
    async (session, names, options) => {
      const metrics = new Metrics()
      const toLog = options["metrics"] === "emf"
      const file = toLog ? undefined : options["metrics"]
      const onEnded: OnEnded = (source, ending, seconds) => {
        if (toLog) session.io.out(metricsLine(source, ending, seconds, session.io.now()))
      }
      try {
        await backupAll(session, names, options["prove"] === "all", metrics, onEnded)
      } catch (error) {
        // What went wrong with the backup counts for more than what does with its numbers.
        await metrics.write(file).catch((second: unknown) => {
          if (second instanceof BackupError) session.warn(escapeControl(second.message))
        })
        throw error
      }
      await metrics.write(file)
    },
  )
    .addOption(new Option("--prove <what>", "open every volume again before it is kept").choices(["all"]))
    .option(
      "--metrics <file>",
      "where to put numbers for Prometheus' node_exporter, FILE.prom; emf: a line for CloudWatch, to standard output",
    )
}

/** Told how each source ended; `null` if it threw. */
type OnEnded = (source: string, ending: BackupResult | null, seconds: number) => void

async function backupAll(
  session: Session,
  given: readonly string[],
  proveAll: boolean,
  metrics: Metrics,
  onEnded: OnEnded,
): Promise<void> {
  const trust = await session.trust({ strict: true })
  const names = given.length > 0 ? given : await sourcesHere(session, trust)
  if (names.length === 0) {
    throw new BackupError("not-found", "no source has its keys on this machine; nothing was backed up", {
      hint: "enrol one: backup-cloud source add NAME dir:///path",
    })
  }
  const unfinished: string[] = []
  let first: BackupError | null = null
  for (const name of names) {
    const started = session.io.now().getTime()
    try {
      metrics.set("backup_success", name, 0)
      const result = await backupOne(session, trust, name, proveAll)
      const ended = session.io.now().getTime()
      metrics.set("backup_success", name, result.outcome === "complete" ? 1 : 0)
      metrics.set("backup_end_timestamp_seconds", name, ended / 1000)
      metrics.set("backup_duration_seconds", name, (ended - started) / 1000)
      metrics.set("backup_entries", name, result.entries)
      metrics.set("backup_bytes", name, result.bytes)
      metrics.set("backup_stored_bytes", name, result.stored)
      onEnded(name, result, (ended - started) / 1000)
      if (result.outcome !== "complete") unfinished.push(`${name}: ${result.outcome}`)
    } catch (error) {
      onEnded(name, null, (session.io.now().getTime() - started) / 1000)
      // One source that fails does not keep the others from being backed up.
      if (!(error instanceof BackupError) || names.length === 1) throw error
      session.io.note(`backup-cloud: ${name}: ${escapeControl(error.message)}`)
      first ??= error
    }
    if (session.io.stop.aborted) break
  }
  if (first !== null) throw new BackupError(first.fault, "not every source was backed up; see above", { cause: first })
  if (unfinished.length > 0) throw incomplete(unfinished)
}

async function sourcesHere(session: Session, trust: Trust): Promise<string[]> {
  if (session.identity !== null) return [(await session.identity.source()).name]
  const here: string[] = []
  for (const { name, keys } of trust.policy.sources) {
    // What scripts and programs of their own back up is not for this command to read.
    const url = session.config.sources[name]?.url ?? ""
    if (url === "upload:" || url.startsWith("program:")) continue
    if (keys.at(-1)?.accept_until === "" && (await readSecrets(session, name)) !== null) here.push(name)
  }
  return here
}

/** Backs one source up from a place that its caller knows; throws `incomplete` if the run is not complete. */
export async function backupNamed(session: Session, name: string, place: SourceConfig): Promise<void> {
  const { outcome } = await backupOne(session, await session.trust({ strict: true }), name, false, place)
  if (outcome !== "complete") throw incomplete([`${name}: ${outcome}`])
}

function incomplete(unfinished: readonly string[]): BackupError {
  return new BackupError("incomplete", `backed up, but not whole: ${unfinished.join(", ")}`, {
    hint: "the runs are kept and can be restored; see above for what they lack",
  })
}

/** @param given where the source is, unless the configuration says it */
async function backupOne(
  session: Session,
  trust: Trust,
  name: string,
  proveAll: boolean,
  given?: SourceConfig,
): Promise<BackupResult> {
  const { io } = session
  const started = io.now().getTime()
  const result = await backupSource(session, trust, {
    name,
    async source() {
      session.doing(`${name}: reading the receipts of earlier runs`)
      return await openSource(session, name, given ?? (await sessionPlace(session, name)))
    },
    checkpointMinutes: session.config.sources[name]?.checkpoint_minutes,
    proveAll,
    onEvent: shower(session, name, await readExtent(session, name)),
    stop: io.stop,
  })
  const seconds = (io.now().getTime() - started) / 1000
  session.say(
    `${name}: ${result.outcome}, ${result.entries} entries of ${size(result.bytes)} in ${seconds.toFixed(1)} s, ${size(result.stored)} stored, run ${result.run}`,
  )
  session.event({ event: "result", source: name, seconds, ...result })
  return result
}

async function sessionPlace(session: Session, name: string): Promise<SourceConfig> {
  const place = session.config.sources[name]
  if (place !== undefined) return place
  if (session.identity !== null) return sourceConfig((await session.identity.source()).place, "the identity")
  throw new BackupError("usage", `${session.config.file} does not say where ${name} is; nothing was backed up`, {
    hint: `write into it: sources: { ${name}: { url: "dir:///path" } }`,
  })
}

function unreadWords(why: string): string {
  if (why === "changed") return "changed while it was read"
  return why.startsWith("lacks-") ? `its ${why.slice("lacks-".length)} could not be read` : `not read, ${why}`
}

/** Tells why the run could not build on what an earlier one left. */
function showState(session: Session, name: string, event: BackupEvent & { readonly event: "state" }): void {
  const instead =
    event.instead === null ? "everything is read and stored again" : `it builds on that of ${event.instead} instead`
  if (event.why !== "denied") {
    session.note(`${name}: the state of run ${event.run} is ${event.why}: ${instead} (${escapeControl(event.message)})`)
    return
  }
  session.warn(
    `${name}: this machine has no right to read state/${name}/: ${instead}, now and each time (${escapeControl(event.message)})
  → give it that right: permission to read in a directory, s3:GetObject and s3:ListBucket in S3, as \`backup-cloud policy print --role source --source ${name}\` prints them`,
  )
}

/** @param before what the last run had: about what this one will have */
function shower(session: Session, name: string, before: Extent | null): (event: SourceEvent) => void {
  const progress = session.progress(name, "entries")
  const total = before === null ? null : { bytes: before.bytes, items: before.entries, about: true }
  return (event) => {
    if (event.event === "not-remembered") {
      session.note(`Note: ${event.why}`)
      return
    }
    if (event.event === "progress") {
      progress?.update({ bytes: event.bytes, items: event.entries }, total, `${size(event.stored)} stored`)
    } else if (event.event === "unread") {
      const path = escapeControl(fromByteString(event.path))
      session.note(`${name}: ${path}: ${unreadWords(event.why)}`)
    } else if (event.event === "broke-off") {
      session.note(
        `${name}: ${escapeControl(event.why)}; the run is kept as failed, and the one before stays the latest`,
      )
    } else if (event.event === "state") {
      showState(session, name, event)
    } else if (event.event === "committed" && event.outcome === "checkpoint") {
      session.note(`${name}: checkpoint ${event.number} of ${event.run}`)
    }
    session.event({ ...event, source: name })
  }
}
