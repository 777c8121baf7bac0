// A lockfile names the packages of every platform, or `npm ci` refuses it. A registry that serves only some platforms
// makes npm leave the others out, without a word; `node tools/lockfile.ts` puts them back, from the versions that the
// packages that want them state. They are never fetched where they don't fit.

import { readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"

interface Locked {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly cpu?: readonly string[]
  readonly os?: readonly string[]
  readonly libc?: readonly string[]
}

export interface Lockfile {
  readonly packages: Readonly<Record<string, Locked>>
}

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64", "wasm32"]

/** What a package's name says about where it fits: `binding-linux-arm-musleabihf`. */
function platform(name: string): Pick<Locked, "cpu" | "os" | "libc"> {
  const words = name.split(/[/-]/)
  const os = systems.filter((each) => words.includes(each))
  const cpu = processors.filter((each) => words.includes(each))
  const musl = words.some((each) => each.startsWith("musl"))
  const glibc = words.some((each) => each.startsWith("gnu"))
  return { cpu, os, ...(musl ? { libc: ["musl"] } : glibc ? { libc: ["glibc"] } : {}) }
}

/** Where a package that lies at `at` finds one of this name: beside it, or beside what it lies in, and so on. */
function placesFor(name: string, at: string): string[] {
  const above = at.split("/node_modules/").map((_, index, parts) => parts.slice(0, index + 1).join("/node_modules/"))
  return [`node_modules/${name}`, ...above.map((each) => `${each}/node_modules/${name}`)]
}

/** The entries that `lock` lacks, by their place in it. */
export function absent(lock: Lockfile): Record<string, Locked> {
  const found: Record<string, Locked> = {}
  for (const [at, parent] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const place = `node_modules/${name}`
      if (placesFor(name, at).some((each) => lock.packages[each] !== undefined)) continue
      found[place] = { version, ...platform(name), ...(parent.dev === true ? { dev: true } : {}), optional: true }
    }
  }
  return found
}

if (import.meta.main) {
  const file = `${dirname(import.meta.dirname)}/package-lock.json`
  const lock = JSON.parse(readFileSync(file, "utf8")) as Lockfile
  const more = absent(lock)
  for (const [place, entry] of Object.entries(more)) console.log(`${place} ${entry.version ?? ""}`)
  const packages = Object.entries({ ...lock.packages, ...more }).sort(([a], [b]) => (a < b ? -1 : 1))
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`)
}
