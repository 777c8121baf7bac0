// Helpers of this folder's tests. Run as a program, lists the tree that its JSON argument describes: for tests that need
// another user, environment or heap than their own.

import { spawnSync } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { isFault, type SourceEntry } from "@backup-cloud/format"
import { type DirSourceOptions, dirSource } from "../src/index.ts"

export function temporary(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "bc-dir-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export async function list(options: DirSourceOptions): Promise<SourceEntry[]> {
  const all: SourceEntry[] = []
  for await (const batch of dirSource(options).entries(new AbortController().signal)) all.push(...batch)
  return all
}

export function byPath(entries: readonly SourceEntry[]): Map<string, SourceEntry> {
  return new Map(entries.map((entry) => [entry.path, entry]))
}

export interface Elsewhere {
  readonly uid?: number
  readonly env?: NodeJS.ProcessEnv
  readonly execArgv?: readonly string[]
  /** Count entries instead of printing them. */
  readonly count?: boolean
}

/** What a listing process says: entries with their attributes as an object, or the fault. */
export interface Said {
  readonly count: number
  readonly entries: readonly {
    readonly type: string
    readonly path: string
    readonly attributes: Record<string, string>
  }[]
  readonly fault: { readonly fault: string; readonly message: string; readonly hint: string } | null
}

export function listElsewhere(options: DirSourceOptions, elsewhere: Elsewhere): Said {
  const { uid, env, execArgv = [], count = false } = elsewhere
  const child = spawnSync(
    process.execPath,
    ["--conditions=source", ...execArgv, import.meta.filename, JSON.stringify({ options, count })],
    { encoding: "utf8", maxBuffer: 1e9, env: env ?? process.env, ...(uid === undefined ? {} : { uid, gid: uid }) },
  )
  if (child.status !== 0)
    throw new Error(`the listing process ended with ${child.status ?? "a signal"}: ${child.stderr}`)
  return JSON.parse(child.stdout) as Said
}

if (import.meta.main) {
  const { options, count } = JSON.parse(process.argv[2] ?? "") as { options: DirSourceOptions; count: boolean }
  let seen = 0
  const entries: Said["entries"][number][] = []
  let fault: Said["fault"] = null
  try {
    for await (const batch of dirSource(options).entries(new AbortController().signal)) {
      seen += batch.length
      if (count) continue
      entries.push(...batch.map((e) => ({ type: e.type, path: e.path, attributes: Object.fromEntries(e.attributes) })))
    }
  } catch (error) {
    if (!isFault(error, "unavailable") && !isFault(error, "not-found")) throw error
    fault = { fault: error.fault, message: error.message, hint: error.hint ?? "" }
  }
  console.log(JSON.stringify({ count: seen, entries, fault } satisfies Said))
}
