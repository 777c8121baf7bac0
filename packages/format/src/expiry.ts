// Expiry lists: exactly the objects that the administrator took away (docs/format.md, section 12). Whatever no list names
// must be there.

import * as v from "valibot"
import { ascending, codec, digest, documentSchema, name, run, time, upTo } from "./json.ts"
import { catalogues, volumes } from "./members.ts"
import { MAX_EXPIRIES, MAX_POLICIES, parseRunObject } from "./names.ts"
import { parseRanges } from "./ranges.ts"

const digestOrEmpty = v.union([v.literal(""), digest])

const members = v.strictObject({
  ...{ source: name, run, sums: digestOrEmpty },
  ...{ key: v.boolean(), roots: v.boolean(), volumes, catalogues },
})
export type ExpiredRun = v.InferOutput<typeof members>

/** The sealed objects of a run: `key.gpg` with the shares, all roots, and volumes and catalogue volumes as ranges. */
export type RunParts = Pick<ExpiredRun, "key" | "roots" | "volumes" | "catalogues">

export const NO_PARTS: RunParts = { key: false, roots: false, volumes: "", catalogues: "" }

export function takesAny(parts: RunParts): boolean {
  return parts.key || parts.roots || parts.volumes !== "" || parts.catalogues !== ""
}

const expiredRun = v.pipe(
  members,
  v.check((each) => each.sums === "" || takesAny(each), "must take something away"),
)

export const expiryCodec = codec(
  v.pipe(
    documentSchema("expiry", {
      number: upTo(MAX_EXPIRIES),
      created: time,
      previous: digestOrEmpty,
      policy: upTo(MAX_POLICIES),
      runs: v.pipe(
        ascending(expiredRun, (each) => `${each.source} ${each.run}`),
        v.minLength(1),
      ),
    }),
    v.check((list) => (list.number === 1) === (list.previous === ""), "number 1 and no other has no previous one"),
  ),
)
export type ExpiryList = ReturnType<typeof expiryCodec.decode>
/** Whether the object of this base name is one of `parts`. Receipts, sums and signatures never are. */
export function isPart(parts: RunParts, base: string): boolean {
  const object = parseRunObject(base)
  switch (object?.kind) {
    case "key":
    case "share":
      return parts.key
    case "root":
      return parts.roots
    case "volume":
      return within(parts.volumes, object.number)
    case "catalogue":
      return within(parts.catalogues, object.number)
    default:
      return false
  }
}

function within(ranges: string, number: number): boolean {
  return (parseRanges(ranges) ?? []).some(([first, last]) => first <= number && number <= last)
}
