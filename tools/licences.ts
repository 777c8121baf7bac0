// Every installed package must come under a licence of this list, or be an exception that is named with its reason.
// It reads what is installed, so it covers what the lockfile brings, development tools included.

import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

const allowed = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "Unlicense",
])

/** Package to the licence it may have besides, and why. */
export const exceptions: Readonly<Record<string, { readonly licence: string; readonly reason: string }>> = {
  openpgp: { licence: "LGPL-3.0+", reason: "used unmodified, as a package of its own that anyone can exchange" },
}

/** Whether an SPDX expression (of `OR`, `AND`, parentheses) can be met by licences that `ok` accepts. */
export function satisfies(expression: string, ok: (licence: string) => boolean): boolean {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  let at = 0
  const primary = (): boolean => {
    const token = tokens[at++]
    if (token !== "(") return token !== undefined && ok(token)
    const value = either()
    return tokens[at++] === ")" && value
  }
  const both = (): boolean => {
    let value = primary()
    while (tokens[at] === "AND") {
      at++
      value = primary() && value
    }
    return value
  }
  const either = (): boolean => {
    let value = both()
    while (tokens[at] === "OR") {
      at++
      value = both() || value
    }
    return value
  }
  return either() && at === tokens.length
}

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly license?: unknown
}

/** The manifests of all packages below a `node_modules` folder, nested ones too; links (workspaces) are left out. */
function* installed(folder: string): Generator<Manifest, void, undefined> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue
    const path = join(folder, entry.name)
    if (entry.name.startsWith("@")) {
      yield* installed(path)
      continue
    }
    const manifest = join(path, "package.json")
    if (existsSync(manifest)) yield JSON.parse(readFileSync(manifest, "utf8")) as Manifest
    if (existsSync(join(path, "node_modules"))) yield* installed(join(path, "node_modules"))
  }
}

/** What is wrong with the licences below `modules`, a line each. Throws if nothing is installed there. */
export function licenceProblems(modules: string): string[] {
  const problems: string[] = []
  let seen = 0
  for (const { name = "?", version = "?", license } of installed(modules)) {
    seen++
    const stated = typeof license === "string" ? license : "none stated"
    const fine = satisfies(stated, (each) => allowed.has(each) || exceptions[name]?.licence === each)
    if (!fine) problems.push(`${name}@${version}: ${stated}`)
  }
  if (seen === 0) throw new Error(`no package is installed in ${modules}`)
  return problems
}

if (import.meta.main) {
  const problems = licenceProblems(join(dirname(import.meta.dirname), "node_modules"))
  for (const problem of problems) console.error(`${problem}: not on the list in tools/licences.ts`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
