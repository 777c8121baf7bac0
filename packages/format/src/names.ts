// Names of an archive's objects, and the patterns they must match (docs/format.md, section 1).

import { BackupError } from "./faults.ts"

export const FORMAT = "backup-cloud/1"

export const patterns = {
  archive: /^[0-9a-f]{32}$/,
  digest: /^[0-9a-f]{64}$/,
  fingerprint: /^[0-9A-F]{40}$/,
  name: /^[a-z0-9][a-z0-9-]{0,62}$/,
  run: /^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/,
  certificate: /^[a-z0-9][a-z0-9-]{0,62}-[0-9a-f]{16}\.asc$/,
  time: /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/,
} as const

/** Most volumes of one run; the process goes on in a new run. */
export const MAX_VOLUMES = 262_144
export const MAX_CATALOGUES = 65_535
export const MAX_NUMBERS = 9_999
/** Six digits. */
export const MAX_POLICIES = 999_999
export const MAX_EXPIRIES = 999_999
export const MAX_ERASURES = 999_999

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, "0")
}

export const names = {
  archive: "archive.json",
  key: "key.gpg",
  share: (holder: string) => `share-${holder}.gpg`,
  volume: (number: number) => `volume-${padded(number, 8)}.tar.zst.gpg`,
  catalogue: (number: number) => `catalogue-${padded(number, 8)}.tar.zst.gpg`,
  root: (number: number) => `root-${padded(number, 4)}.gpg`,
  receipt: (number: number) => `receipt-${padded(number, 4)}.json`,
  sums: (number: number) => `SHA256SUMS-${padded(number, 4)}`,
  signature: (number: number) => `SHA256SUMS-${padded(number, 4)}.sig`,
  policy: (number: number) => `config/policy-${padded(number, 6)}.json`,
  expiry: (number: number) => `expiries/${padded(number, 6)}.json`,
  erasure: (number: number) => `erasures/${padded(number, 6)}.json.gpg`,
  /** @param id of the form of a run id, made when the drill began */
  drill: (id: string) => `drills/${id}.json`,
  /** @param id of the form of a run id, made when the statement was */
  medium: (id: string) => `media/${id}.json`,
  runDirectory: (source: string, run: string) => `backup/${source}/${run}/`,
  /** Of a state. */
  unfinished: "unfinished.gpg",
  stateDirectory: (source: string, run: string) => `state/${source}/${run}/`,
} as const

/** The kind and number that a base name in a run's directory stands for. */
export type RunObject =
  | { readonly kind: "key" }
  | { readonly kind: "share"; readonly holder: string }
  | {
      readonly kind: "volume" | "catalogue" | "root" | "receipt" | "sums" | "signature"
      readonly number: number
    }

const numbered = [
  ["volume", /^volume-([0-9]{8})\.tar\.zst\.gpg$/, MAX_VOLUMES],
  ["catalogue", /^catalogue-([0-9]{8})\.tar\.zst\.gpg$/, MAX_CATALOGUES],
  ["root", /^root-([0-9]{4})\.gpg$/, MAX_NUMBERS],
  ["receipt", /^receipt-([0-9]{4})\.json$/, MAX_NUMBERS],
  ["sums", /^SHA256SUMS-([0-9]{4})$/, MAX_NUMBERS],
  ["signature", /^SHA256SUMS-([0-9]{4})\.sig$/, MAX_NUMBERS],
] as const

/** Reads a base name of a run's directory; `null` if the format knows no such name. */
export function parseRunObject(base: string): RunObject | null {
  if (base === names.key) return { kind: "key" }
  const holder = /^share-(.+)\.gpg$/.exec(base)?.[1]
  if (holder !== undefined) return patterns.name.test(holder) ? { kind: "share", holder } : null
  for (const [kind, pattern, most] of numbered) {
    const digits = pattern.exec(base)?.[1]
    if (digits === undefined) continue
    const number = Number(digits)
    return number >= 1 && number <= most ? { kind, number } : null
  }
  return null
}

/** Whether `base` names an object whose content only a released secret opens. */
export function isSealed(base: string): boolean {
  const object = parseRunObject(base)
  return object !== null && !["receipt", "sums", "signature"].includes(object.kind)
}

/** Splits `backup/<source>/<run>/<base>`; `null` if `name` is not of that form. */
export function parseRunPath(name: string): { source: string; run: string; base: string } | null {
  const [top, source, run, base, ...rest] = name.split("/")
  if (top !== "backup" || source === undefined || run === undefined || base === undefined || rest.length > 0)
    return null
  return patterns.name.test(source) && patterns.run.test(run) ? { source, run, base } : null
}

/**
 * Id of a run that starts at `now`.
 * @param random 4 random bytes
 */
export function runId(now: Date, random: Uint8Array): string {
  if (random.length !== 4) throw new RangeError("a run id takes 4 random bytes")
  const stamp = now.toISOString().replace(/[-:]|\.[0-9]+/g, "")
  return `${stamp}-${Buffer.from(random).toString("hex")}`
}

/** `date` in the format's one form, to the second. */
export function timeText(date: Date): string {
  return date.toISOString().replace(/\.[0-9]+Z$/, "Z")
}

/** Checks that `value` matches a pattern; throws `usage` naming what it was meant to be. */
export function expectName(kind: keyof typeof patterns, value: string): string {
  if (patterns[kind].test(value)) return value
  throw new BackupError("usage", `"${escapeControl(value)}" is not a valid ${kind}`, {
    hint: `it must match ${patterns[kind].source}`,
  })
}

/** `text` with every control character (also those of terminals) shown as an escape, for output. */
export function escapeControl(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
}
