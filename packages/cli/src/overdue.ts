// When a run is overdue, by the words that the policy has for how often a source is meant to run.

import type { SourceRuns } from "@backup-cloud/trust"
import type { Trouble } from "./checks/check.ts"

const HOUR = 3_600_000
const UNITS: readonly (readonly [string, number])[] = [
  ["hour", 1],
  ["day|daily|night", 24],
  ["week", 7 * 24],
  ["month", 31 * 24],
]

/**
 * Milliseconds that may pass between two runs: one and a half times what the words say (`hourly`, `each night`,
 * `every 6 hours`, `weekly`), a day and a half where they say something else, `null` where there are none.
 */
export function patience(schedule: string): number | null {
  if (schedule === "") return null
  const [, hours = 24] = UNITS.find(([words]) => new RegExp(words, "i").test(schedule)) ?? []
  const [, count = "1"] = /every\s+([1-9][0-9]*)\s+(?:hour|day|night|week|month)/i.exec(schedule) ?? []
  return 1.5 * Number(count) * hours * HOUR
}

/** An age as people say it. @param milliseconds not negative */
export function ageWords(milliseconds: number): string {
  const hours = milliseconds / HOUR
  return hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`
}

/** Whether the last run that could be restored is older than the policy's words allow, or there is none. */
export function ageTrouble({ source, runs }: SourceRuns, schedule: string, now: Date): Trouble | null {
  const limit = patience(schedule)
  const last = runs.findLast((run) => ["complete", "partial"].includes(run.receipt.outcome))
  const mend = `backup-cloud backup ${source}; a timer: backup-cloud schedule ${source}`
  if (last === undefined) return { problem: "it has no run that could be restored", mend }
  const age = now.getTime() - last.arrived.getTime()
  if (limit === null || age <= limit) return null
  return { problem: `the last run is ${ageWords(age)} old, and it is meant to run: ${schedule}`, mend }
}
