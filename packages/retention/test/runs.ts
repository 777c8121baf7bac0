// Runs as a plan sees them, made by the thousand for tables: no archive, any clock.

import { createHash } from "node:crypto"
import { type KeepRule, type Policy, runId } from "@backup-cloud/format"
import { DAY, type ExpiryPlan, type PlanInput, planExpiry, type RunState, type SourceState } from "../src/index.ts"

export const DOCS = "docs"
const rules: Policy["rules"] = { horizon_days: 20, grace_days: 10, retention_days: 1 }
/** Days after which a run may expire, by the policies made here. */
export const SETTLED = 30

const NOTHING: KeepRule = {
  ...{ source: DOCS, last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within_days: 0, minimum: 1 },
}

/** A policy with what planning reads of it. */
export function policyOf(rule: Partial<KeepRule> | null, more: Partial<Policy> = {}): Policy {
  const keep = rule === null ? {} : { keep: [{ ...NOTHING, ...rule }] }
  return { rules, ...keep, ...more } as Policy
}

export const time = (text: string): Date => new Date(`${text}${text.length > 10 ? "" : "T12:00:00"}Z`)
export const daysAfter = (date: Date, days: number): Date => new Date(date.getTime() + days * DAY)

/** @param id any text, of which the run's id is made */
export function runOf(id: string, arrived: Date, more: Partial<RunState> = {}): RunState {
  const hash = createHash("sha256").update(id).digest()
  const has = { key: true, roots: true, volumes: "1-4", catalogues: "1" }
  return {
    ...{ source: DOCS, run: runId(arrived, hash.subarray(0, 4)), sums: hash.toString("hex"), arrived },
    ...{ outcome: "complete", sound: true, uses: [], has, expired: null },
    ...more,
  }
}

export function sourceOf(runs: readonly RunState[], more: Partial<SourceState> = {}): SourceState {
  return { source: DOCS, runs, states: [], blocked: null, ...more }
}

export function plan(policy: Policy, runs: readonly RunState[], now: Date, more: Partial<PlanInput> = {}): ExpiryPlan {
  return planExpiry({ policy, sources: [sourceOf(runs)], proved: new Set(), now, ...more })
}

/** The runs that a plan leaves whole, in the order given. */
export function stay(given: ExpiryPlan, runs: readonly RunState[]): RunState[] {
  const going = new Set(given.runs.map(({ run }) => run))
  return runs.filter(({ run, expired }) => expired === null && !going.has(run))
}

/** After a plan was carried out. */
export function carriedOut(given: ExpiryPlan, runs: readonly RunState[]): RunState[] {
  const going = new Map(given.runs.map((each) => [each.run, each]))
  return runs.map((run) => {
    const entry = going.get(run.run)
    if (entry === undefined) return run
    if (run.expired !== null) throw new Error("a run twice needs its parts joined; this helper does not")
    return { ...run, expired: entry }
  })
}
