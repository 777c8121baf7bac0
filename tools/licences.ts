// Every installed package must come under a licence of this list, or be an exception that is named with its reason.
// It reads what is installed, so it covers what the lockfile brings, development tools included.

import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Lockfile } from "./lockfile.ts"

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

interface Exception {
  readonly licence: string
  readonly reason: string
  /** It must not come to anybody who installs a package of this project. */
  readonly development?: true
}

const tests = "only tests use it, to evaluate policies: nothing that is published or deployed holds or needs it"

/** Package to the licence it may have besides, and why. */
export const exceptions: Readonly<Record<string, Exception>> = {
  openpgp: { licence: "LGPL-3.0+", reason: "used unmodified, as a package of its own that anyone can exchange" },
  "@cloud-copilot/iam-policy": { licence: "AGPL-3.0-or-later", reason: tests, development: true },
  "@cloud-copilot/iam-simulate": { licence: "AGPL-3.0-or-later", reason: tests, development: true },
  "@cloud-copilot/iam-utils": { licence: "AGPL-3.0-or-later", reason: tests, development: true },
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

/** Whether every copy of a package below `modules` is there for development alone, as npm noted beside them. */
function developmentOnly(modules: string): (name: string) => boolean {
  const file = join(modules, ".package-lock.json")
  const lock = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Lockfile) : { packages: {} }
  return (name) => {
    const copies = Object.entries(lock.packages).filter(([place]) => place.endsWith(`node_modules/${name}`))
    return copies.length > 0 && copies.every(([, { dev }]) => dev === true)
  }
}

/** What is wrong with the licences below `modules`, a line each. Throws if nothing is installed there. */
export function licenceProblems(modules: string): string[] {
  const problems: string[] = []
  const onlyDevelopment = developmentOnly(modules)
  let seen = 0
  for (const { name = "?", version = "?", license } of installed(modules)) {
    seen++
    const stated = typeof license === "string" ? license : "none stated"
    const exception = exceptions[name]
    const excepted = exception !== undefined && (exception.development !== true || onlyDevelopment(name))
    const fine = satisfies(stated, (each) => allowed.has(each) || (excepted && exception.licence === each))
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
