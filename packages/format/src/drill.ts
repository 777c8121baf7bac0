// The result of a drill (docs/format.md, section 14). It is public: there is no name of a file in it.

import * as v from "valibot"
import { ascending, codec, digest, documentSchema, fingerprint, integer, name, run, text, time } from "./json.ts"
import { patterns } from "./names.ts"

const outcome = v.picklist(["passed", "failed"])
/** What was tried, by its name, and how it came out. */
const trials = ascending(v.strictObject({ name, outcome }), (trial) => trial.name)
export type DrillTrial = v.InferOutput<typeof trials>[number]

interface Findings {
  readonly differences: number
  readonly controls: readonly DrillTrial[]
  readonly checks: readonly DrillTrial[]
}

export const drillCodec = codec(
  v.pipe(
    documentSchema("drill", {
      id: run,
      created: time,
      operator: fingerprint,
      source: name,
      run,
      sums: digest,
      from: v.union([v.literal("archive"), v.pipe(v.string(), v.regex(patterns.archive))]),
      started: time,
      finished: time,
      outcome,
      entries: integer,
      bytes: integer,
      differences: integer,
      first_byte_ms: integer,
      total_ms: integer,
      age_seconds: integer,
      rto_minutes: integer,
      rpo_minutes: integer,
      controls: trials,
      checks: trials,
      reason: text,
    }),
    v.check((d) => d.outcome === "failed" || isProof(d), "has passed and says what speaks against it"),
    v.check((d) => (d.outcome === "failed") === (d.reason !== ""), "has a reason if it failed, and only then"),
  ),
)
export type DrillResult = ReturnType<typeof drillCodec.decode>

/** Something was compared, controls were tried, and nothing speaks against it. */
function isProof({ differences, controls, checks }: Findings): boolean {
  const tried = [...controls, ...checks]
  return (
    differences === 0 && controls.length > 0 && checks.length > 0 && tried.every((each) => each.outcome === "passed")
  )
}
