// What lies in a restored directory, in the words of the vectors' manifests, and what a manifest promises of it.

import { createHash } from "node:crypto"
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import type { ManifestEntry } from "../../vectors/load.ts"

/** One entry: type, mode, owner, time, size, digest, link; of hard links the inode's first path. */
export type Tree = Map<string, string>

export interface Expected {
  readonly nanoseconds: boolean
  readonly setId: boolean
  readonly devices: boolean
}

function percent(bytes: Buffer): string {
  if (bytes.toString("latin1") === "-") return "%2D"
  return [...bytes]
    .map((byte) => {
      const c = String.fromCharCode(byte)
      return /[A-Za-z0-9/._+,:@~-]/.test(c) ? c : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
    })
    .join("")
}

const types: [(stat: BigIntStats) => boolean, string][] = [
  [(stat) => stat.isDirectory(), "d"],
  [(stat) => stat.isSymbolicLink(), "l"],
  [(stat) => stat.isFIFO(), "p"],
  [(stat) => stat.isSocket(), "s"],
  [(stat) => stat.isBlockDevice(), "b"],
  [(stat) => stat.isCharacterDevice(), "c"],
]

/** The paths of `manifest` whose times such a `touch` cannot set: it knows whole seconds since 1970 only. */
export function timeless(manifest: readonly ManifestEntry[], options: Expected): Set<string> {
  return new Set(
    options.nanoseconds ? [] : manifest.filter((entry) => entry.mtime.startsWith("-")).map((entry) => entry.path),
  )
}

function clock(nanoseconds: bigint, whole: boolean): string {
  const floor = (nanoseconds - (((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n
  return whole ? `${floor}.${nanoseconds - floor * 1_000_000_000n}` : `${floor}`
}

/** Reads `top` whole, without the times of `untimed`. A device's `rdev` is given as `<major>,<minor>`. */
export function readTree(top: string, options: Expected, untimed: ReadonlySet<string>): Tree {
  const tree: Tree = new Map()
  const inodes = new Map<bigint, string>()
  const visit = (path: Buffer, name: Buffer): void => {
    const stat = lstatSync(path, { bigint: true })
    const type = types.find(([is]) => is(stat))?.[1] ?? "f"
    const key = name.length === 0 ? "." : percent(name)
    const mode = (stat.mode & 0o7777n).toString(8).padStart(4, "0")
    const content = type === "f" ? readFileSync(path) : null
    const rdev =
      type === "b" || type === "c"
        ? `${(stat.rdev >> 8n) & 0xfffn},${(stat.rdev & 0xffn) | ((stat.rdev >> 12n) & 0xfff00n)}`
        : ""
    const parts = [
      type,
      type === "l" ? "" : mode,
      `${stat.uid}:${stat.gid}`,
      untimed.has(key) ? "any" : clock(stat.mtimeNs, options.nanoseconds),
      content === null ? 0 : content.length,
      content === null ? "-" : createHash("sha256").update(content).digest("hex"),
      type === "l" ? percent(readlinkSync(path, { encoding: "buffer" })) : "-",
      rdev,
    ]
    const known = inodes.get(stat.ino)
    if (type !== "d" && known !== undefined) tree.set(key, `h ${known}`)
    else {
      inodes.set(stat.ino, key)
      tree.set(key, parts.join(" "))
    }
    if (type !== "d") return
    const held = readdirSync(path, { encoding: "buffer" }).sort((a, b) => Buffer.compare(a, b))
    for (const each of held)
      visit(
        Buffer.concat([path, Buffer.from("/"), each]),
        name.length === 0 ? each : Buffer.concat([name, Buffer.from("/"), each]),
      )
  }
  visit(Buffer.from(top), Buffer.alloc(0))
  return tree
}

/** What recover.sh must make of `manifest` without the paths of `lost`. */
export function expectedTree(manifest: readonly ManifestEntry[], lost: readonly string[], options: Expected): Tree {
  const tree: Tree = new Map()
  const absent = new Set(lost)
  const untimed = timeless(manifest, options)
  for (const entry of manifest) {
    const device = entry.type === "b" || entry.type === "c"
    const cannot =
      entry.type === "s" ||
      entry.type === "u" ||
      (device && !options.devices) ||
      (entry.type === "f" && entry.sha256 === "-")
    if (cannot || (entry.type === "h" && absent.has(entry.link))) absent.add(entry.path)
    if (absent.has(entry.path)) continue
    if (entry.type === "h") {
      tree.set(entry.path, `h ${entry.link}`)
      continue
    }
    const bits = Number.parseInt(entry.mode, 8) & (options.setId ? 0o7777 : 0o1777)
    const [seconds = "", fraction = ""] = entry.mtime.split(".")
    const parts = [
      entry.type,
      entry.type === "l" ? "" : bits.toString(8).padStart(4, "0"),
      `${entry.uid}:${entry.gid}`,
      untimed.has(entry.path) ? "any" : options.nanoseconds ? `${seconds}.${Number(fraction)}` : seconds,
      entry.size,
      entry.sha256,
      entry.link,
      device ? entry.device : "",
    ]
    tree.set(entry.path, parts.join(" "))
  }
  return tree
}

/** Paths in one order, so that a difference reads well. Hard links are named by whichever name the walk meets first. */
export function comparable(tree: Tree): Record<string, string> {
  const groups = new Map<string, string[]>()
  for (const [path, what] of tree)
    if (what.startsWith("h ")) groups.set(what.slice(2), [...(groups.get(what.slice(2)) ?? []), path])
  const result: Record<string, string> = {}
  for (const [path, what] of tree) if (!what.startsWith("h ")) result[path] = what
  for (const [first, others] of groups) {
    const names = [first, ...others].sort()
    const what = result[first] ?? "missing"
    for (const name of names) result[name] = `${what} linked: ${names.join(" ")}`
  }
  return Object.fromEntries(Object.entries(result).sort(([a], [b]) => (a < b ? -1 : 1)))
}
