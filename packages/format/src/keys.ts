// Run keys, what derives from them, and the text in key.gpg (docs/format.md, section 5).

import { createHash, hkdfSync } from "node:crypto"
import { BackupError } from "./faults.ts"
import { FORMAT, patterns } from "./names.ts"

const hex = (textForm: string): string => createHash("sha256").update(textForm).digest("hex")

/** Passphrase of the object `base` of `run`. @param key the run key, 64 hex digits */
export function derivedPassphrase(key: string, run: string, base: string): string {
  return hex(`${key}:${hex(`${FORMAT}:${key}:${run}:${base}`)}`)
}

/** The check value that a receipt carries. @param key the run key, 64 hex digits */
export function checkValue(key: string): string {
  return hex(`${FORMAT}:check:${key}`)
}

function expand(secret: Uint8Array, info: string, bytes: number): Uint8Array {
  if (secret.length !== 32) throw new RangeError("a source's secret has 32 bytes")
  return new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(0), info, bytes))
}

/** The key of chunk ids, 32 bytes. It never leaves the source. @param secret 32 bytes */
export function chunkKey(secret: Uint8Array): Uint8Array {
  return expand(secret, `${FORMAT}:chunk`, 32)
}

/** The 256 numbers of the cut rule. @param secret 32 bytes */
export function cutTable(secret: Uint8Array): Uint32Array {
  const bytes = Buffer.from(expand(secret, `${FORMAT}:cut`, 1024))
  return Uint32Array.from({ length: 256 }, (_, i) => bytes.readUInt32LE(4 * i))
}

/** Passphrase of a state object. @param secret 32 bytes */
export function statePassphrase(secret: Uint8Array, run: string, base: string): string {
  return Buffer.from(expand(secret, `${FORMAT}:state:${run}:${base}`, 32)).toString("hex")
}

/** What key.gpg says. `key`: 64 hex digits. */
export interface RunKeyText {
  readonly archive: string
  readonly source: string
  readonly run: string
  readonly key: string
}

export function encodeRunKey(text: RunKeyText): Uint8Array {
  return new TextEncoder().encode(
    `${FORMAT} run key\narchive: ${text.archive}\nsource: ${text.source}\nrun: ${text.run}\nkey: ${text.key}\n`,
  )
}

/** Reads the text of key.gpg; throws `refused`, without quoting any of it, for any other text. */
export function decodeRunKey(bytes: Uint8Array, object: string): RunKeyText {
  const match = /^backup-cloud\/1 run key\narchive: (.+)\nsource: (.+)\nrun: (.+)\nkey: (.+)\n$/.exec(
    Buffer.from(bytes).toString("latin1"),
  )
  const [, archive = "", source = "", run = "", key = ""] = match ?? []
  const valid =
    patterns.archive.test(archive) && patterns.name.test(source) && patterns.run.test(run) && patterns.digest.test(key)
  if (!valid) throw new BackupError("refused", `${object}: what it holds is not the text of a run key`)
  return { archive, source, run, key }
}
