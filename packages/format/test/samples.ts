// Values that every test of the format starts from.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import type { CatalogueEntry, Policy, Receipt, Release, ReleaseRequest, Root } from "../src/index.ts"

export const archive = "0123456789abcdef0123456789abcdef"
export const source = "db-1"
export const run = "20261123T221500Z-4f1c9a02"
export const earlier = "20261122T221500Z-00c0ffee"
export const time = "2026-11-23T22:15:00Z"
export const digest = (seed: string): string => createHash("sha256").update(seed).digest("hex")
export const fingerprint = (seed: string): string => digest(seed).slice(0, 40).toUpperCase()

const certificate = (name: string) => ({
  file: `${name}-${digest(name).slice(0, 16)}.asc`,
  sha256: digest(name),
  fingerprint: fingerprint(name),
})

export const policy: Policy = {
  format: "backup-cloud/1",
  type: "policy",
  archive,
  number: 2,
  created: time,
  previous: digest("policy 1"),
  administrator: {
    file: `${fingerprint("admin")}.asc`,
    sha256: digest("admin"),
    fingerprint: fingerprint("admin"),
  },
  release: "any",
  threshold: 1,
  recover: digest("recover.sh"),
  holders: [
    { name: "ada", ...certificate("ada"), status: "present", since: time },
    { name: "bob", ...certificate("bob"), status: "leaked", since: time },
  ],
  operators: [{ name: "olga", ...certificate("olga"), status: "retired", since: time }],
  sources: [
    {
      name: source,
      kind: "dir",
      schedule: "daily at 02:00 — Zürich",
      fresh_after: "",
      keys: [
        { ...certificate("db-1"), accept_until: time },
        {
          file: `db-1-${digest("second").slice(0, 16)}.asc`,
          sha256: digest("second"),
          fingerprint: fingerprint("second"),
          accept_until: "",
        },
      ],
    },
  ],
  rules: { horizon_days: 90, grace_days: 30, retention_days: 365 },
}

/** With every member that may be left out. */
export const fullPolicy: Policy = {
  ...policy,
  handed: [{ file: "old.sql.gpg", sha256: digest("handed"), pkesk: digest("pkesk") }],
  keep: [{ source, last: 7, hourly: 0, daily: 14, weekly: 8, monthly: 12, yearly: 7, within_days: 3, minimum: 3 }],
  holds: [{ source, run: "", name: "inquiry", until: "" }],
  media: { copies: 3, locations: 2, offline: 1, max_age_days: 35 },
  drills: [{ source, every_days: 30, rto_minutes: 240, rpo_minutes: 0 }],
  verifiers: [{ name: "vera", ...certificate("vera"), status: "present", since: time, sources: [source] }],
}

export const receipt: Receipt = {
  format: "backup-cloud/1",
  type: "receipt",
  archive,
  source,
  run,
  number: 1,
  policy: 2,
  outcome: "partial",
  started: time,
  finished: time,
  kind: "dir",
  release: "any",
  check: digest("check"),
  recipients: [fingerprint("ada"), fingerprint("bob")].sort(),
  previous: [`${earlier} ${digest("head")}`],
  uses: [{ run: earlier, sums: digest("sums"), volumes: "1-153,160", catalogues: "" }],
  entries: 1024,
  bytes: 0,
  errors: ["EACCES 2", "changed 1"],
  handed: [{ file: "dump of ünicode.sql.gpg", sha256: digest("handed"), pkesk: digest("pkesk") }],
  objects: [
    `catalogue-00000001.tar.zst.gpg 66000 ${digest("c")}`,
    `key.gpg 900 ${digest("k")}`,
    `root-0001.gpg 66100 ${digest("r")}`,
    `volume-00000001.tar.zst.gpg 131500 ${digest("v")}`,
  ],
}

export const request: ReleaseRequest = {
  format: "backup-cloud/1",
  type: "request",
  archive,
  id: archive,
  created: time,
  expires: time,
  operator: fingerprint("olga"),
  reason: "the disk of the file server broke",
  source,
  run,
  kind: "volumes",
  wants: [{ run: earlier, root: 0, volumes: "1-153,160", catalogues: "" }],
  object: "",
  erasures: 0,
  evidence: [{ run, key: "QUJD", receipts: [{ receipt: "QUI=", sums: "QQ==", signature: "" }] }],
  trust: [{ name: "archive.json", bytes: "QUJD" }],
}

export const release: Release = {
  format: "backup-cloud/1",
  type: "release",
  archive,
  request: archive,
  created: time,
  expires: time,
  holder: fingerprint("ada"),
  operator: fingerprint("olga"),
  source,
  run,
  kind: "run",
  erasures: 3,
  without_erasures: false,
  secrets: [`${earlier} volume-00000007.tar.zst.gpg ${digest("s")}`, `${run} key.gpg ${digest("K")}`],
}

export const chunk = { id: digest("chunk"), length: 5, run, volume: 1 }

export const root: Root = {
  archive,
  source,
  run,
  number: 1,
  kind: "dir",
  outcome: "complete",
  entries: 3,
  errors: 0,
  bytes: 5,
  catalogue: { bytes: 5, sha256: digest("catalogue"), chunks: [chunk] },
}

const bare = { mode: 0o644, uid: 0, gid: 0, mtime: "0.000000000", size: 0, sha256: null, link: null }

/** An entry of this type and path with nothing remarkable about it. */
export function entry(type: CatalogueEntry["type"], path: string, more: Partial<CatalogueEntry> = {}): CatalogueEntry {
  const empty = type === "f" ? { sha256: digest("") } : {}
  return { ...bare, type, path, attributes: new Map(), chunks: [], ...empty, ...more }
}

/** Asserts that `what` throws a BackupError with fault `tampered`, and that its message can go to a terminal. */
export function refused(what: () => unknown, label: string): void {
  assert.throws(
    what,
    (error: Error & { fault?: string }) => {
      assert.equal(error.fault, "tampered", `${label}: ${error.stack ?? ""}`)
      assert.doesNotMatch(error.message, /\p{Cc}/u, label)
      return true
    },
    label,
  )
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (encoded: Uint8Array): string => new TextDecoder().decode(encoded)

/** `text` with the one occurrence of `from` replaced; fails if there is none, so that no case tests the sample itself. */
export function swap(original: string, from: string, to: string): string {
  assert.ok(original.includes(from), `"${from}" is not in the sample`)
  return original.replace(from, () => to)
}
