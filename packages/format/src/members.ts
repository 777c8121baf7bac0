// Members that several documents share.

import * as v from "valibot"
import { ascending, digest, text } from "./json.ts"
import { MAX_CATALOGUES, MAX_VOLUMES } from "./names.ts"
import { parseRanges } from "./ranges.ts"

export const release = v.picklist(["any", "threshold"])

export const handed = ascending(v.strictObject({ file: text, sha256: digest, pkesk: digest }), (h) => h.sha256)
/** A file that was sealed outside of runs: digests of the whole of it, and of exactly its PKESK packets, both in hex. */
export type Handed = v.InferOutput<typeof handed>[number]

const rangesUpTo = (most: number) =>
  v.pipe(
    v.string(),
    v.check((s) => (parseRanges(s)?.at(-1)?.[1] ?? (s === "" ? 0 : Infinity)) <= most, `must be ranges up to ${most}`),
  )
export const volumes = rangesUpTo(MAX_VOLUMES)
export const catalogues = rangesUpTo(MAX_CATALOGUES)
