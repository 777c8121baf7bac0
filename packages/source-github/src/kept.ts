// A repository's documents as a restore has staged them.

import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import type { Release } from "./documents.ts"
import type { Original } from "./words.ts"

export interface KeptRepository {
  readonly full_name?: string
  readonly description?: string | null
  readonly homepage?: string | null
  readonly private?: boolean
  readonly default_branch?: string
}
export interface KeptLabel {
  readonly name: string
  readonly color?: string
  readonly description?: string | null
}
export interface KeptMilestone {
  readonly number: number
  readonly title: string
  readonly state?: "open" | "closed"
  readonly description?: string | null
  readonly due_on?: string | null
}
export interface KeptComment extends Original {
  readonly id: number
  readonly state?: string
  readonly path?: string
  readonly line?: number | null
}
export interface KeptIssue {
  readonly issue: Original & {
    readonly number: number
    readonly title: string
    readonly state: string
    readonly state_reason?: "completed" | "not_planned" | "reopened" | "duplicate" | null
    readonly labels?: readonly (string | { readonly name?: string })[]
    readonly milestone?: { readonly number: number } | null
    readonly pull_request?: unknown
  }
  readonly comments?: readonly KeptComment[]
  readonly reviews?: readonly KeptComment[]
  readonly review_comments?: readonly KeptComment[]
}
export interface KeptRelease extends Release, Original {
  readonly name?: string | null
  readonly draft?: boolean
  readonly prerelease?: boolean
  readonly assets: readonly (Release["assets"][number] & { readonly content_type?: string })[]
}

/** A document; `absent` if it is not staged. Throws `tampered` for what is no JSON. */
export async function readKept<T>(folder: string, name: string, absent: T): Promise<T> {
  let text: string
  try {
    text = await readFile(join(folder, name), "utf8")
  } catch {
    return absent
  }
  try {
    return JSON.parse(text) as T
  } catch (cause) {
    throw new BackupError("tampered", `${name}: is no JSON; the restore is not whole`, { cause })
  }
}

/** Numbers of the issues that are staged, in their order. */
export async function keptIssues(folder: string): Promise<number[]> {
  const names = await readdir(join(folder, "issues")).catch(() => [])
  return names
    .flatMap((name) => /^([0-9]+)\.json$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}
