// Where a parameter lies in the backup: `/a/b` at `a/b`. SSM has names that no tree of files can have: `/a` beside `/a/b`,
// `a` beside `/a`, segments of any length. They get a path with `@`, which no name of a parameter contains.

import { createHash } from "node:crypto"
import { type CatalogueEntry, fromByteString, isSafePath, toByteString } from "@backup-cloud/format"

/** Attribute that holds the name where it is not the path with a slash before it. */
export const NAME = "ssm.name"

/** Path, a byte string, of each name. The same names have the same paths. */
export function pathsOf(names: readonly string[]): Map<string, string> {
  const folders = new Set(names.flatMap((name) => parents(plainPath(name))))
  const taken = new Set<string>()
  const paths = new Map<string, string>()
  // Names with a slash first, so that theirs is the plain path.
  for (const name of names.toSorted()) {
    const path = possiblePaths(name).find((each) => !folders.has(each) && !taken.has(each)) ?? ""
    taken.add(path)
    paths.set(name, path)
  }
  return paths
}

/** Where a parameter can lie in any backup, the first that nothing else is in the way of; byte strings. */
export function possiblePaths(name: string): string[] {
  const plain = plainPath(name)
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 32)
  return [plain, `${plain}@`, `@${digest}`].filter(isSafePath)
}

const plainPath = (name: string): string => toByteString(name.replace(/^\//, ""))

/** The folders that hold a path, the top included; none of a path that cannot be. */
export function parents(path: string): string[] {
  if (!isSafePath(path)) return ["."]
  const segments = path.split("/").slice(0, -1)
  return [".", ...segments.map((_, i) => segments.slice(0, i + 1).join("/"))]
}

/** The name of the parameter that an entry is. */
export function nameOf({ path, attributes }: CatalogueEntry): string {
  return fromByteString(attributes.get(NAME) ?? `/${path}`)
}
