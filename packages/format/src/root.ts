// The root: which chunks, where, make up the catalogue of a run, and its totals (docs/format.md, section 9).

import { type ChunkRef, encodeChunkLine, parseChunkLine } from "./catalogue.ts"
import { type Outcome, outcomes } from "./documents.ts"
import { BackupError, isFault } from "./faults.ts"
import { FORMAT, MAX_CATALOGUES, MAX_NUMBERS, patterns } from "./names.ts"

export interface Root {
  readonly archive: string
  readonly source: string
  readonly run: string
  readonly number: number
  readonly kind: string
  readonly outcome: Outcome
  readonly entries: number
  readonly errors: number
  /** Sum of the sizes of all regular files. */
  readonly bytes: number
  readonly catalogue: { readonly bytes: number; readonly sha256: string; readonly chunks: readonly ChunkRef[] }
}

const LEAST = 65_536
const heads = [
  "archive",
  "source",
  "run",
  "number",
  "kind",
  "outcome",
  "entries",
  "errors",
  "bytes",
  "catalogue",
] as const

export function encodeRoot(root: Root): Uint8Array {
  const { bytes, sha256, chunks } = root.catalogue
  const values = { ...root, catalogue: `${bytes} ${sha256}` }
  const body = `${FORMAT} root\n${heads.map((h) => `${h} ${values[h]}\n`).join("")}${chunks.map(encodeChunkLine).join("")}`
  let length = LEAST
  while (length < body.length + 5) length *= 2
  return Buffer.from(`${body}pad ${".".repeat(length - body.length - 5)}\n`, "latin1")
}

/** Reads a root; throws `tampered`, naming `object`, for anything but the one accepted form. */
export function decodeRoot(plain: Uint8Array, object: string): Root {
  const text = Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString("latin1")
  const fail = (why: string): never => {
    throw new BackupError("tampered", `${object}: ${why}`)
  }
  const [first, ...rest] = text.split("\n")
  if (first !== `${FORMAT} root`) return fail("is not a root")
  const value = (i: number): string => {
    const head = heads[i] ?? ""
    const line = rest[i] ?? ""
    return line.startsWith(`${head} `) ? line.slice(head.length + 1) : fail(`line "${head}" is missing`)
  }
  const number = (s: string): number =>
    /^(?:0|[1-9][0-9]{0,15})$/.test(s) && Number.isSafeInteger(Number(s)) ? Number(s) : fail("a number is not one")
  const matching = (s: string, pattern: RegExp): string => (pattern.test(s) ? s : fail("a value is out of form"))
  const chunkRef = (line: string): ChunkRef => {
    let chunk: ChunkRef
    try {
      chunk = parseChunkLine(line)
    } catch (cause) {
      if (!isFault(cause, "tampered")) throw cause
      throw new BackupError("tampered", `${object}: ${cause.message}`, { cause })
    }
    return chunk.volume <= MAX_CATALOGUES ? chunk : fail("a chunk is in no catalogue volume")
  }
  const outcome = outcomes.find((o) => o === value(5)) ?? fail("unknown outcome")
  const [size = "", sha256 = ""] = value(9).split(" ")
  const root: Root = {
    archive: matching(value(0), patterns.archive),
    source: matching(value(1), patterns.name),
    run: matching(value(2), patterns.run),
    number: number(value(3)),
    kind: matching(value(4), patterns.name),
    outcome,
    entries: number(value(6)),
    errors: number(value(7)),
    bytes: number(value(8)),
    catalogue: {
      bytes: number(size),
      sha256: matching(sha256, patterns.digest),
      chunks: rest.slice(heads.length, -2).map(chunkRef),
    },
  }
  if (root.number < 1 || root.number > MAX_NUMBERS) return fail("its number is out of bounds")
  if (root.catalogue.chunks.reduce((sum, c) => sum + c.length, 0) !== root.catalogue.bytes)
    return fail("chunks do not add up")
  if (Buffer.compare(encodeRoot(root), plain) !== 0) return fail("is not in the one accepted byte form")
  return root
}
