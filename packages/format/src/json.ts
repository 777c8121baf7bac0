// Signed JSON has one accepted byte form: what `JSON.stringify(value, null, 2)` gives for the members in schema order.
// So a signature over the bytes is a signature over the meaning, and `awk` can read one member a line.

import * as v from "valibot"
import { BackupError } from "./faults.ts"
import { FORMAT, patterns } from "./names.ts"

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Text without control characters or lone surrogates. */
export const text = v.pipe(
  v.string(),
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
  v.check((s) => s.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(s), "must hold no control characters"),
)
export const integer = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(0),
  v.check((n) => !Object.is(n, -0)),
)
export const positive = v.pipe(integer, v.minValue(1))
export const digest = v.pipe(v.string(), v.regex(patterns.digest))
export const fingerprint = v.pipe(v.string(), v.regex(patterns.fingerprint))
export const name = v.pipe(v.string(), v.regex(patterns.name))
export const run = v.pipe(v.string(), v.regex(patterns.run))
export const time = v.pipe(
  v.string(),
  v.regex(patterns.time),
  v.check((s) => isRealTime(s), "must be a time that exists"),
)
/** Base64 with padding, and with zeros in the bits that the padding leaves over: one form for any bytes. */
export const base64 = v.pipe(
  v.string(),
  v.check((s) => Buffer.from(s, "base64").toString("base64") === s, "must be base64"),
)
/** A positive integer up to `most`. */
export const upTo = (most: number) => v.pipe(positive, v.maxValue(most))

function isRealTime(s: string): boolean {
  const parsed = new Date(s)
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(s.slice(0, -1))
}

/** A list in strictly ascending order of `key`, so each key occurs once. */
export function ascending<S extends v.GenericSchema>(item: S, key: (value: v.InferOutput<S>) => string) {
  return v.pipe(
    v.array(item),
    v.check(
      (list) => list.every((x, i) => i === 0 || key(list[i - 1] as v.InferOutput<S>) < key(x)),
      "must be sorted and unique",
    ),
  )
}

/** The schema of a document: `format` and `type` first, then `entries` in this order. */
export function documentSchema<const T extends string, const E extends v.ObjectEntries>(type: T, entries: E) {
  return v.strictObject({ format: v.literal(FORMAT), type: v.literal(type), archive: archiveId, ...entries })
}
const archiveId = v.pipe(v.string(), v.regex(patterns.archive))

export interface Codec<T> {
  /** The one byte form of `value`; throws `usage` if the value does not fit the schema. */
  encode(value: T): Uint8Array
  /** Reads `bytes`; throws `tampered`, naming `object`, for anything but the one byte form. */
  decode(bytes: Uint8Array, object: string): T
}

/** Encoder and decoder of one type of document. */
export function codec<S extends v.GenericSchema>(schema: S): Codec<v.InferOutput<S>> {
  const write = (value: v.InferOutput<S>): string => `${JSON.stringify(value, null, 2)}\n`
  return {
    encode(value) {
      const checked = v.safeParse(schema, value)
      if (!checked.success) throw new BackupError("usage", `cannot be written: ${issue(checked.issues)}`)
      return new TextEncoder().encode(write(checked.output))
    },
    decode(bytes, object) {
      const fail = (why: string, cause?: unknown): never => {
        throw new BackupError("tampered", `${object}: ${why}`, { cause })
      }
      let source: string
      let value: unknown
      try {
        source = decoder.decode(bytes)
        value = JSON.parse(source)
      } catch (cause) {
        return fail("is not JSON", cause)
      }
      const checked = v.safeParse(schema, value)
      if (!checked.success) return fail(issue(checked.issues))
      if (write(checked.output) !== source) return fail("is not in the one accepted byte form")
      return checked.output
    },
  }
}

function issue(issues: readonly v.BaseIssue<unknown>[]): string {
  const first = issues[0]
  return first === undefined ? "does not fit" : `${v.getDotPath(first) ?? "document"}: ${first.message}`
}
