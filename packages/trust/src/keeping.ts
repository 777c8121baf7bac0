// Changes of the policy about which runs stay: the keep rule of a source, and holds that stand above it.

import { BackupError, escapeControl, type Hold, type KeepRule, type Policy } from "@backup-cloud/format"
import type { Change } from "./policy.ts"

/** Gives a source its keep rule, in place of the one it had. */
export function setKeep(rule: KeepRule): Change {
  return (draft) => withKeep(draft, [...otherRules(draft, rule.source), rule])
}

/** A source without a rule keeps everything. */
export function clearKeep(source: string): Change {
  return (draft) => withKeep(draft, otherRules(draft, source))
}

/** Keeps a run, or with `run` empty all that there are of the source, whatever the rules say. */
export function addHold(hold: Hold): Change {
  return (draft) => withHolds(draft, [...otherHolds(draft, hold), hold])
}

export function releaseHold(hold: Omit<Hold, "until">): Change {
  return (draft) => {
    const left = otherHolds(draft, hold)
    if (left.length === (draft.holds ?? []).length)
      throw new BackupError("not-found", `the policy has no such hold named ${escapeControl(hold.name)}`, {
        hint: "`backup-cloud policy show` lists the holds; one of a single run is released with NAME@RUN-ID",
      })
    return withHolds(draft, left)
  }
}

const otherRules = ({ keep = [] }: Policy, source: string): KeepRule[] => keep.filter((each) => each.source !== source)
const keyOf = ({ source, run, name }: Omit<Hold, "until">): string => `${source} ${run} ${name}`
const otherHolds = ({ holds = [] }: Policy, hold: Omit<Hold, "until">): Hold[] =>
  holds.filter((each) => keyOf(each) !== keyOf(hold))

/** An empty list is left out, so the member goes first. */
function withKeep(draft: Policy, rules: readonly KeepRule[]): Policy {
  const after = { ...draft }
  delete after.keep
  if (rules.length > 0) after.keep = [...rules].sort((a, b) => (a.source < b.source ? -1 : 1))
  return after
}

function withHolds(draft: Policy, holds: readonly Hold[]): Policy {
  const after = { ...draft }
  delete after.holds
  if (holds.length > 0) after.holds = [...holds].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  return after
}
