// The JSON of the tool that came before, `{name: {type, value, description}}`, through a pipe. It holds values in the clear:
// it is for a pipe or a file in memory, and nothing here writes one.

import { hash } from "node:crypto"
import { BackupError, EntryError, escapeControl, type TargetProblem } from "@backup-cloud/format"
import { Ssm, type SsmAccess } from "./access.ts"
import { isType, type Settings } from "./parameter.ts"
import { listAll, normalPath, type SsmSourceOptions } from "./source.ts"
import { BATCH, Values } from "./values.ts"
import { type WriteOptions, Writer } from "./writer.ts"

export interface ImportResult {
  readonly written: number
  readonly equal: number
  /** What differs and was left, and what AWS refused; not empty: the caller exits with `differs`. */
  readonly problems: readonly TargetProblem[]
}

/** Bytes of JSON that are read at most: all parameters that a region can have. */
const MOST_BYTES = 512 * 1024 * 1024

/**
 * All parameters below the path, sorted by name, in pieces of text. The text is JSON only once the iteration ends: a reader
 * of a part of it finds out. Throws as `ssmSource`, and `refused` for a value that cannot be had, since nothing may be
 * missing from an export without a word.
 */
export async function* exportJson(options: SsmSourceOptions, signal: AbortSignal): AsyncGenerator<string> {
  const path = normalPath(options.path)
  const ssm = new Ssm(options)
  const values = new Values(ssm)
  const listed = await listAll(ssm, path, signal)
  let before = "{"
  for (let at = 0; at < listed.length; at += BATCH) {
    const asked = listed.slice(at, at + BATCH).map((each) => ({ ...each, fetch: values.ask(each.name, each.version) }))
    for (const { name, type, description, fetch } of asked) {
      const bytes = await fetch(signal).catch((error: unknown) => {
        throw error instanceof EntryError ? noValue(name, error.word) : error
      })
      const fields = { type, value: Buffer.from(bytes).toString("utf8"), description }
      yield `${before}\n  ${JSON.stringify(name)}: ${JSON.stringify(fields)}`
      before = ","
    }
  }
  yield listed.length === 0 ? "{}\n" : "\n}\n"
}

function noValue(name: string, why: string): BackupError {
  return new BackupError("refused", `parameter ${name}: its value cannot be had (${why}); the export is not whole`, {
    hint: "give the right to it and to its key, or export a path without it",
  })
}

/**
 * Writes the parameters of such a text, whose `description` may be missing. Nothing is written unless all of the text is
 * right: `usage` if not. What is there is treated as by `ssmTarget`, but only type, value and description are compared.
 */
export async function importJson(
  input: AsyncIterable<Uint8Array>,
  options: SsmAccess & WriteOptions,
  signal: AbortSignal,
): Promise<ImportResult> {
  const parameters = parse(await textOf(input))
  const writer = new Writer(new Ssm(options), options)
  let written = 0
  let equal = 0
  for (const { name, value, ...settings } of parameters) {
    signal.throwIfAborted()
    const look = await writer.look(name, settings, hash("sha256", value), signal)
    if (look.state === "equal") equal++
    if (look.state === "equal" || look.state === "left") continue
    if (await writer.put(name, settings, value, look, signal)) written++
  }
  return { written, equal, problems: writer.problems }
}

async function textOf(input: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of input) {
    length += piece.length
    if (length > MOST_BYTES) throw bad("is longer than all parameters of a region can be")
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString("utf8")
}

function parse(text: string): (Settings & { name: string; value: string })[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // What the parser says quotes the text, and so perhaps a value.
    throw bad("is no JSON, or was cut off")
  }
  if (!isObject(json)) throw bad("is no JSON object")
  return Object.entries(json).map(([name, fields]) => {
    const quoted = `"${escapeControl(name)}"`
    if (!isObject(fields)) throw bad(`${quoted}: is no object`)
    const { type, value, description = "", ...others } = fields
    const [other] = Object.keys(others)
    if (other !== undefined) throw bad(`${quoted}: has "${escapeControl(other)}", which is not known`)
    if (!isType(type)) throw bad(`${quoted}: its type is none of a parameter`)
    if (typeof value !== "string" || value === "") throw bad(`${quoted}: its value is no text`)
    if (typeof description !== "string") throw bad(`${quoted}: its description is no text`)
    return { name, type, value, description }
  })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

function bad(why: string): BackupError {
  return new BackupError("usage", `the JSON of parameters: ${why}; nothing was written`, {
    hint: `it must be {"/name": {"type": "String", "value": "…", "description": "…"}, …}`,
  })
}
