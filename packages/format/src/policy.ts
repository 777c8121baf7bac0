// The policy: who, by which certificates, under which rules (docs/format.md, section 2).
//
// Members that came later are optional and stand at the end, so that a policy without them reads as it always did.

import * as v from "valibot"
import {
  ascending,
  codec,
  digest,
  documentSchema,
  fingerprint,
  integer,
  name,
  positive,
  run,
  text,
  time,
  upTo,
} from "./json.ts"
import { handed, release } from "./members.ts"
import { MAX_POLICIES, patterns } from "./names.ts"

const certificateFile = v.pipe(v.string(), v.regex(patterns.certificate))
const certificate = { file: certificateFile, sha256: digest, fingerprint }
const timeOrEmpty = v.union([v.literal(""), time])
const digestOrEmpty = v.union([v.literal(""), digest])

/** What a certificate's file is called follows from whose it is and what it holds. */
const namesItsFile = (owner: string, entry: { file: string; sha256: string }): boolean =>
  entry.file === `${owner}-${entry.sha256.slice(0, 16)}.asc`

const standing = <const S extends readonly [string, ...string[]]>(...statuses: S) =>
  ascending(
    v.pipe(
      v.strictObject({ name, ...certificate, status: v.picklist(statuses), since: time }),
      v.check((entry) => namesItsFile(entry.name, entry), "must be kept in a file named by name and digest"),
    ),
    (entry) => `${entry.name} ${entry.since} ${entry.fingerprint}`,
  )

const sourceKeys = v.pipe(
  v.array(v.strictObject({ ...certificate, accept_until: timeOrEmpty })),
  v.check((keys) => keys.slice(0, -1).every((key) => key.accept_until !== ""), "only the last key may be present"),
)

const administrator = v.pipe(
  v.strictObject({ file: v.string(), sha256: digest, fingerprint }),
  v.check((a) => a.file === `${a.fingerprint}.asc`, "must be kept in a file named by the fingerprint"),
)

const policySource = v.pipe(
  v.strictObject({ name, kind: name, schedule: text, fresh_after: timeOrEmpty, keys: sourceKeys }),
  v.check((s) => s.keys.every((k) => namesItsFile(s.name, k)), "keys must be kept in files named by name and digest"),
)

/** A recipient besides the holders, for the isolated machine that verifies the sources named. */
const verifiers = ascending(
  v.pipe(
    v.strictObject({
      ...{ name, ...certificate, status: v.picklist(["present", "retired"]), since: time },
      sources: v.pipe(
        ascending(name, (source) => source),
        v.minLength(1),
      ),
    }),
    v.check((entry) => namesItsFile(entry.name, entry), "must be kept in a file named by name and digest"),
  ),
  (entry) => `${entry.name} ${entry.since} ${entry.fingerprint}`,
)

/** How many runs of a source stay by each rule, and which are never too few. */
const keep = ascending(
  v.strictObject({
    source: name,
    last: integer,
    hourly: integer,
    daily: integer,
    weekly: integer,
    monthly: integer,
    yearly: integer,
    within_days: integer,
    minimum: positive,
  }),
  (rule) => rule.source,
)

/** Runs that stay whatever the rules say: one, or with `run` empty all that there are of the source. */
const holds = ascending(
  v.strictObject({ source: name, run: v.union([v.literal(""), run]), name: text, until: timeOrEmpty }),
  (hold) => `${hold.source} ${hold.run} ${hold.name}`,
)

const media = v.strictObject({ copies: positive, locations: positive, offline: integer, max_age_days: positive })

/** When each source is to be drilled, and what a restore must keep to; 0 for no objective. */
const drills = ascending(
  v.strictObject({ source: name, every_days: positive, rto_minutes: integer, rpo_minutes: integer }),
  (drill) => drill.source,
)

const some = <S extends v.GenericSchema<unknown[], unknown[]>>(list: S) =>
  v.exactOptional(
    v.pipe(
      list,
      v.check((each) => each.length > 0, "must be left out if it is empty"),
    ),
  )

export const policyCodec = codec(
  v.pipe(
    documentSchema("policy", {
      number: upTo(MAX_POLICIES),
      created: time,
      previous: digestOrEmpty,
      administrator,
      release,
      threshold: positive,
      recover: digest,
      holders: standing("present", "retired", "leaked"),
      operators: standing("present", "retired"),
      sources: ascending(policySource, (entry) => entry.name),
      rules: v.strictObject({ horizon_days: positive, grace_days: positive, retention_days: positive }),
      handed: some(handed),
      keep: some(keep),
      holds: some(holds),
      media: v.exactOptional(media),
      drills: some(drills),
      verifiers: some(verifiers),
    }),
    v.check((p) => (p.number === 1) === (p.previous === ""), "number 1 and no other has no previous one"),
    v.check((p) => p.release === "threshold" || p.threshold === 1, "with release any the threshold is 1"),
  ),
)
export type Policy = ReturnType<typeof policyCodec.decode>
export type HolderEntry = Policy["holders"][number]
export type OperatorEntry = Policy["operators"][number]
export type PolicySource = Policy["sources"][number]
export type SourceKey = PolicySource["keys"][number]

export type VerifierEntry = v.InferOutput<typeof verifiers>[number]
export type KeepRule = v.InferOutput<typeof keep>[number]
export type Hold = v.InferOutput<typeof holds>[number]
export type MediaRules = v.InferOutput<typeof media>
export type DrillRule = v.InferOutput<typeof drills>[number]
