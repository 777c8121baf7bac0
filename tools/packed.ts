// Packages as they are published: a tarball of each, unpacked where there is nothing else. Beside them lie links to the
// packages of others that they declare, since no registry is asked.

import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

export const root = dirname(import.meta.dirname)
export const bin = join(root, "node_modules", ".bin")
export const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` }

export interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly bin?: Readonly<Record<string, string>>
}

const { workspaces } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { workspaces: string[] }
export const manifests: ReadonlyMap<string, Manifest> = new Map(
  globSync(
    workspaces.map((each) => `${each}/package.json`),
    { cwd: root },
  )
    .map((path) => JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest)
    .map((manifest) => [manifest.name, manifest]),
)

/** What must be there beside a package: what it depends on, and its peers but for the optional ones. */
function neededBy({ dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }: Manifest): string[] {
  const peers = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
  return [...Object.keys(dependencies), ...peers]
}

/** The workspace packages that these need, themselves included, and the others they declare. */
export function closure(...names: readonly string[]): { own: string[]; foreign: string[] } {
  const own = new Set(names)
  const foreign = new Set<string>()
  for (const each of own) {
    const manifest = manifests.get(each)
    for (const dependency of manifest === undefined ? [] : neededBy(manifest))
      (manifests.has(dependency) ? own : foreign).add(dependency)
  }
  return { own: [...own], foreign: [...foreign] }
}

export interface Packed {
  /** File by the package's name. */
  readonly tarballs: ReadonlyMap<string, string>
  /**
   * A directory with these tarballs unpacked below `node_modules`, and links to the packages of others.
   * @param label one word; what was unpacked under it before stays
   */
  unpack(label: string, own: readonly string[], foreign: readonly string[]): string
  remove(): void
}

/** Packs every package, as it was built last. */
export function pack(): Packed {
  const scratch = mkdtempSync(join(tmpdir(), "pack-"))
  const args = ["pack", "--workspaces", "--ignore-scripts", "--json", "--pack-destination", scratch]
  const report = execFileSync("npm", args, { cwd: root, env, encoding: "utf8", stdio: "pipe" })
  type Line = { readonly name: string; readonly filename: string }
  const lines = Object.values(JSON.parse(report) as Line[] | Record<string, Line>)
  const tarballs = new Map(lines.map(({ name, filename }) => [name, join(scratch, filename)]))
  return {
    tarballs,
    unpack(label, own, foreign) {
      const folder = join(scratch, label)
      for (const name of own) {
        const target = join(folder, "node_modules", name)
        mkdirSync(target, { recursive: true })
        execFileSync("tar", ["-xzf", tarballs.get(name) ?? "", "-C", target, "--strip-components=1"])
      }
      for (const name of foreign) {
        const target = join(folder, "node_modules", name)
        mkdirSync(dirname(target), { recursive: true })
        symlinkSync(join(root, "node_modules", name), target)
      }
      return folder
    },
    remove() {
      rmSync(scratch, { recursive: true, force: true })
    },
  }
}
