// An erasure: what must not come back, and from which runs (docs/format.md, section 13). It lies sealed in the archive, since
// it names what must be forgotten.

import * as v from "valibot"
import { isSafePath } from "./catalogue.ts"
import { globs } from "./globs.ts"
import { ascending, base64, codec, digest, documentSchema, name, text, time, upTo } from "./json.ts"
import { MAX_ERASURES } from "./names.ts"
import { percentDecode } from "./percent.ts"

const number = upTo(MAX_ERASURES)

export const erasureCodec = codec(
  v.pipe(
    documentSchema("erasure", {
      number,
      created: time,
      previous: v.union([v.literal(""), digest]),
      source: name,
      until: v.union([v.literal(""), time]),
      paths: ascending(
        v.pipe(
          text,
          v.check((pattern) => isPattern(pattern), "must be a pattern"),
        ),
        (pattern) => pattern,
      ),
      files: ascending(
        v.pipe(
          v.string(),
          v.check((path) => isPath(path), "must be a path as the catalogue has it"),
        ),
        (path) => path,
      ),
      sql: base64,
      database: text,
      reason: text,
      ticket: text,
      replaces: ascending(number, (n) => String(n).padStart(6, "0")),
    }),
    v.check((e) => (e.number === 1) === (e.previous === ""), "number 1 and no other has no previous one"),
    v.check((e) => e.paths.length + e.files.length > 0 || e.sql !== "", "must name something"),
    v.check((e) => (e.sql === "") === (e.database === ""), "SQL and the database that it is for go together"),
    v.check((e) => e.replaces.every((n) => n < e.number), "can say again only what was said before"),
  ),
)
export type Erasure = ReturnType<typeof erasureCodec.decode>

/** The SQL of an erasure, to be run in a database that was restored. */
export interface SqlErasure {
  /** Of the erasure. */
  readonly number: number
  readonly database: string
  readonly sql: Uint8Array
}

function isPattern(pattern: string): boolean {
  try {
    globs([pattern], [])
    return true
  } catch {
    return false
  }
}

function isPath(text: string): boolean {
  const path = percentDecode(text)
  return path !== null && path !== "." && isSafePath(path)
}
