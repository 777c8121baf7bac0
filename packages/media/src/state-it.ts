// Makes the statement that an action ends with.

import {
  FORMAT,
  type HeldRun,
  heldLine,
  type MediumAction,
  type MediumIdentity,
  type MediumStatement,
  timeText,
} from "@backup-cloud/format"
import { runKey } from "./memory.ts"
import type { Medium } from "./statements.ts"

export interface Facts {
  readonly identity: Pick<MediumIdentity, "archive" | "medium" | "set" | "location_code" | "custodian_code">
  readonly action: MediumAction
  readonly operator: string
  readonly now: Date
  /** What earlier statements say of this medium; `null` before the first. */
  readonly before: Medium | null
  /** The living others of its set. */
  readonly mates: readonly string[]
  readonly used: number
  readonly free: number
  readonly policy: number
  readonly expiries: number
  readonly erasures: number
  readonly heads: MediumStatement["heads"]
  /** All runs of which anything is on it now. */
  readonly runs: Iterable<HeldRun>
  readonly problems: number
}

const MiB = 1_048_576
const rounded = (bytes: number): number => Math.max(0, Math.floor(bytes / MiB) * MiB)

/** The statement after `before`: of the runs, what changed. */
export function makeStatement(facts: Facts): MediumStatement {
  const { identity, before } = facts
  const { archive, medium, set, location_code: location, custodian_code: custodian } = identity
  return {
    ...{ format: FORMAT, type: "medium", archive, medium, number: (before?.last.number ?? 0) + 1 },
    ...{ action: facts.action, created: timeText(facts.now), operator: facts.operator, set },
    mates: [...facts.mates].sort(),
    ...{ location, custodian, bytes: rounded(facts.used), free: rounded(facts.free) },
    ...{ policy: facts.policy, expiries: facts.expiries, erasures: facts.erasures },
    heads: [...facts.heads].sort((a, b) => (runKey(a) < runKey(b) ? -1 : 1)),
    runs: changedRuns(before?.runs ?? new Map<string, HeldRun>(), facts.runs),
    problems: facts.problems,
  }
}

function changedRuns(before: ReadonlyMap<string, HeldRun>, runs: Iterable<HeldRun>): string[] {
  const lines = new Map<string, string>()
  const seen = new Set<string>()
  for (const run of runs) {
    const key = runKey(run)
    const known = before.get(key)
    seen.add(key)
    const nothing = run.holding === "none" && run.volumes === "" && run.catalogues === ""
    if (known === undefined ? !nothing : heldLine(known) !== heldLine(run)) lines.set(key, heldLine(run))
  }
  const none = { holding: "none", volumes: "", catalogues: "" } as const
  for (const [key, run] of before) if (!seen.has(key)) lines.set(key, heldLine({ ...run, ...none }))
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line)
}
