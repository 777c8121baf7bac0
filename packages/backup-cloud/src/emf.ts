// What a run came to, as one line in the embedded metric format of CloudWatch: whoever writes it to the log of a function, or
// to a log that the CloudWatch agent reads, has it as numbers there, in the namespace BackupCloud by the dimension Source.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

import type { BackupResult } from "@backup-cloud/backup"

/** How a source's backup ended, or an invocation of it that another goes on from. */
export type Ending = Pick<BackupResult, "run" | "outcome" | "entries" | "bytes" | "stored" | "errors" | "before"> | null

const UNITS = {
  Complete: "Count",
  Partial: "Count",
  Failed: "Count",
  DurationSeconds: "Seconds",
  Bytes: "Bytes",
  StoredBytes: "Bytes",
  Files: "Count",
  Errors: "Count",
  Shrank: "Count",
} as const
type Values = Partial<Record<keyof typeof UNITS, number>>

/**
 * The line, without its end. A checkpoint that another invocation goes on from has no more than its duration and what it
 * stored, so that sums over the run are right.
 * @param ending `null` if it threw
 * @param seconds how long it took
 */
export function metricsLine(source: string, ending: Ending, seconds: number, now: Date): string {
  const about = ending === null ? {} : { run: ending.run, outcome: ending.outcome }
  return lineOf(source, { ...valuesOf(ending), DurationSeconds: seconds }, now, about)
}

/** The line for these numbers, without its end. @param about what is in the log besides */
export function lineOf(
  source: string,
  values: Values,
  now: Date,
  about: Readonly<Record<string, string>> = {},
): string {
  const Metrics = Object.keys(values).map((Name) => ({ Name, Unit: UNITS[Name as keyof typeof UNITS] }))
  return JSON.stringify({
    _aws: {
      Timestamp: now.getTime(),
      CloudWatchMetrics: [{ Namespace: "BackupCloud", Dimensions: [["Source"]], Metrics }],
    },
    Source: source,
    ...about,
    ...values,
  })
}

function valuesOf(ending: Ending): Values {
  if (ending === null) return { Complete: 0, Partial: 0, Failed: 1 }
  if (ending.outcome === "checkpoint") return { StoredBytes: ending.stored }
  const is = (outcome: string): number => (ending.outcome === outcome ? 1 : 0)
  return {
    ...{ Complete: is("complete"), Partial: is("partial"), Failed: is("failed") },
    ...{ Bytes: ending.bytes, StoredBytes: ending.stored, Files: ending.entries, Errors: errorsOf(ending) },
    Shrank: shrank(ending) ? 1 : 0,
  }
}

/** How many entries could not be kept whole. */
export function errorsOf({ errors }: Pick<BackupResult, "errors">): number {
  return [...errors.values()].reduce((sum, count) => sum + count, 0)
}

/** Whether a run has fewer than half the bytes or entries of the last complete one. */
function shrank({ entries, bytes, before }: NonNullable<Ending>): boolean {
  return before !== null && (entries < before.entries / 2 || bytes < before.bytes / 2)
}
