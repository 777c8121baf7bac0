// The end of a backup of many shards: what each of them came to, as one answer and one line of metrics. A shard that
// failed, or of which nothing is known, is an error, so that the execution that asked fails too.
//
// It reads nothing and has no rights but to log: what it is told is what it knows.

import { BackupError } from "@backup-cloud/format"
import { lineOf } from "backup-cloud/parts/emf"

/** What the state machine of `MapStack` asks. */
export interface SummaryEvent {
  /** The name that the shards have in common: `uploads` of `uploads-00`. */
  readonly source: string
  /** Names of all shards that were to be backed up. */
  readonly shards: readonly string[]
  /** One for each shard that ended, in any order: the reply of `backup`, or `outcome: "failed"` with the name of the error. */
  readonly results: readonly ShardResult[]
  /** When the execution started, ISO 8601. */
  readonly started: string
}

export interface ShardResult {
  readonly source: string
  readonly outcome: string
  /** Name of the error, for one that failed. */
  readonly error?: string
  readonly files?: number
  /** Of content and of what was stored. */
  readonly bytes?: number
  readonly stored?: number
  /** Entries that could not be read. */
  readonly errors?: number
}

export interface Summary {
  readonly source: string
  readonly outcome: "complete" | "partial" | "failed"
  readonly shards: number
  readonly complete: number
  readonly partial: number
  readonly failed: number
  /** Of the shards that tell; a container tells nothing but how it ended. */
  readonly files: number
  readonly bytes: number
  readonly stored: number
  readonly errors: number
  /** Names of the shards that are not complete. */
  readonly incomplete: readonly string[]
}

/** Says what became of all shards. A shard without a result, and an outcome that is not known, count as failed. */
export function summarise({ source, shards, results }: SummaryEvent): Summary {
  const known = new Map(results.map((result) => [result.source, result]))
  const outcomes = shards.map((shard) => [shard, known.get(shard)?.outcome] as const)
  const count = (wanted: string): number => outcomes.filter(([, outcome]) => outcome === wanted).length
  const sum = (what: "files" | "bytes" | "stored" | "errors"): number =>
    shards.reduce((total, shard) => total + (known.get(shard)?.[what] ?? 0), 0)
  const complete = count("complete")
  const partial = count("partial")
  const failed = shards.length - complete - partial
  return {
    ...{ source, outcome: failed > 0 || shards.length === 0 ? "failed" : partial > 0 ? "partial" : "complete" },
    ...{ shards: shards.length, complete, partial, failed },
    ...{ files: sum("files"), bytes: sum("bytes"), stored: sum("stored"), errors: sum("errors") },
    incomplete: outcomes.filter(([, outcome]) => outcome !== "complete").map(([shard]) => shard),
  }
}

/** The line in CloudWatch's embedded metric format. @param started, now milliseconds since 1970 */
export function metricsLine(summary: Summary, started: number, now: number): string {
  const { source, outcome, bytes, stored, files, errors } = summary
  const values = {
    Complete: Number(outcome === "complete"),
    Partial: Number(outcome === "partial"),
    Failed: Number(outcome === "failed"),
    DurationSeconds: (now - started) / 1000,
    ...{ Bytes: bytes, StoredBytes: stored, Files: files, Errors: errors },
  }
  return lineOf(source, values, new Date(now))
}

/** Where a name of a shard is repeated to people: a few are enough. */
const MOST_NAMES = 10

/** Throws `incomplete`, after the metrics are written, where a shard failed. */
export function handler(event: SummaryEvent): Promise<Summary> {
  const summary = summarise(event)
  console.log(metricsLine(summary, Date.parse(event.started), Date.now()))
  if (summary.outcome === "failed") return Promise.reject(shardsFailed(summary, event))
  return Promise.resolve(summary)
}

function shardsFailed(summary: Summary, { shards, results }: SummaryEvent): BackupError {
  const known = new Map(results.map((result) => [result.source, result]))
  const bad = shards.filter((shard) => !["complete", "partial"].includes(known.get(shard)?.outcome ?? ""))
  const shown = bad.slice(0, MOST_NAMES).map((shard) => `${shard} (${known.get(shard)?.error ?? "no result"})`)
  const more = bad.length > MOST_NAMES ? [`and ${bad.length - MOST_NAMES} more`] : []
  const what = `${summary.failed} of ${summary.shards} shards of ${summary.source} were not backed up`
  return new BackupError("incomplete", `${what}: ${[...shown, ...more].join(", ")}; what the others stored is kept`, {
    hint: 'start the execution again with the input {"shards": [their names]}',
  })
}
