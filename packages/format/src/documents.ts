// Archive, receipt, request and release (docs/format.md, section 2).

import * as v from "valibot"
import {
  ascending,
  base64,
  codec,
  digest,
  documentSchema,
  fingerprint,
  integer,
  name,
  run,
  text,
  time,
  upTo,
} from "./json.ts"
import { catalogues, handed, release, volumes } from "./members.ts"
import { isSealed, MAX_NUMBERS, MAX_POLICIES, patterns } from "./names.ts"

/** A decimal count without leading zeros that a number can hold. */
const isCount = (digits: string): boolean =>
  /^(?:0|[1-9][0-9]{0,15})$/.test(digits) && Number.isSafeInteger(Number(digits))
/** The line without its last word. */
const beforeLast = (line: string): string => line.slice(0, line.lastIndexOf(" "))

export const archiveCodec = codec(documentSchema("archive", { created: time }))
export type ArchiveDocument = ReturnType<typeof archiveCodec.decode>

/** What a request for a file that the policy itself records names as its source and run; no source has such a run. */
export const RECORDED = { source: "policy", run: "00000000T000000Z-00000000" } as const

export const outcomes = ["complete", "partial", "checkpoint", "failed"] as const
export type Outcome = (typeof outcomes)[number]

const errorLine = v.pipe(
  v.string(),
  v.check((s) => /^[A-Za-z0-9-]+ [1-9][0-9]*$/.test(s) && isCount(s.split(" ")[1] ?? ""), "must be reason and count"),
)
const objectForm = v.pipe(
  v.string(),
  v.check((line) => isObjectLine(line), "must be the name of a sealed object, its length and digest"),
)

export const receiptCodec = codec(
  documentSchema("receipt", {
    source: name,
    run,
    number: upTo(MAX_NUMBERS),
    policy: upTo(MAX_POLICIES),
    outcome: v.picklist(outcomes),
    started: time,
    finished: time,
    kind: name,
    release,
    check: digest,
    recipients: ascending(fingerprint, (f) => f),
    previous: ascending(v.pipe(v.string(), v.regex(/^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8} [0-9a-f]{64}$/)), beforeLast),
    uses: ascending(v.strictObject({ run, sums: digest, volumes, catalogues }), (use) => use.run),
    entries: integer,
    bytes: integer,
    errors: ascending(errorLine, beforeLast),
    handed,
    objects: ascending(objectForm, (o) => parseObjectLine(o).name),
  }),
)
export type Receipt = ReturnType<typeof receiptCodec.decode>
export type Use = Receipt["uses"][number]

/** An object as a receipt names it. `sha256` in hex, `length` in bytes. */
export interface ObjectRecord {
  readonly name: string
  readonly length: number
  readonly sha256: string
}

/** A line of a receipt's `objects`. */
export function objectLine(object: ObjectRecord): string {
  return `${object.name} ${object.length} ${object.sha256}`
}

/** Reads a line of a receipt's `objects`, which the codec has already checked. */
export function parseObjectLine(line: string): ObjectRecord {
  const [base = "", length = "", sha256 = ""] = line.split(" ")
  return { name: base, length: Number(length), sha256 }
}

export const kinds = ["run", "catalogue", "volumes", "object"] as const
export type RequestKind = (typeof kinds)[number]

/** Receipt, sums and signature of a run are not among the objects: they name them. */
function isObjectLine(line: string): boolean {
  const [base = "", length = "", sha256 = "", ...rest] = line.split(" ")
  return isSealed(base) && isCount(length) && patterns.digest.test(sha256) && rest.length === 0
}

const id = v.pipe(v.string(), v.regex(patterns.archive))
const wants = ascending(
  v.strictObject({ run, root: v.pipe(integer, v.maxValue(MAX_NUMBERS)), volumes, catalogues }),
  (want) => want.run,
)
/** `archive.json` and what the policy's chain of signatures is made of; no name here leaves `config/`. */
const trustName = v.pipe(
  v.string(),
  v.regex(
    /^(?:archive\.json|config\/admin\/[0-9A-F]{40}\.asc|config\/policy-[0-9]{6}\.json(?:(?:\.[0-9A-F]{40})?\.sig)?|config\/(?:public-keys|sources|operators)\/[a-z0-9][a-z0-9-]{0,62}-[0-9a-f]{16}\.asc)$/,
  ),
)

export const requestCodec = codec(
  documentSchema("request", {
    id,
    created: time,
    expires: time,
    operator: fingerprint,
    reason: text,
    source: name,
    run,
    kind: v.picklist(kinds),
    wants,
    object: text,
    erasures: integer,
    evidence: ascending(
      v.strictObject({
        run,
        key: base64,
        receipts: v.array(v.strictObject({ receipt: base64, sums: base64, signature: base64 })),
      }),
      (e) => e.run,
    ),
    trust: ascending(v.strictObject({ name: trustName, bytes: base64 }), (t) => t.name),
    /** Asks for what was erased too; left out otherwise. */
    without_erasures: v.exactOptional(v.literal(true)),
  }),
)
export type ReleaseRequest = ReturnType<typeof requestCodec.decode>
export type Want = ReleaseRequest["wants"][number]

export const releaseCodec = codec(
  documentSchema("release", {
    request: id,
    created: time,
    expires: time,
    holder: fingerprint,
    operator: fingerprint,
    source: name,
    run,
    kind: v.picklist(kinds),
    erasures: integer,
    without_erasures: v.boolean(),
    secrets: ascending(
      v.pipe(v.string(), v.regex(/^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8} [A-Za-z0-9.-]+ [0-9a-f]{64}$/)),
      beforeLast,
    ),
  }),
)
export type Release = ReturnType<typeof releaseCodec.decode>
