// What is to be erased, as people name it: globs over paths, names of parameters, keys of objects. Names and keys become exact
// paths, as the sources give them theirs; nothing in them is a pattern.

import { BackupError, percentEncode, toByteString } from "@backup-cloud/format"
import { installed } from "./installed.ts"

export interface ErasedNames {
  /** Globs. */
  readonly paths: string[]
  /** As a record has them. */
  readonly files: string[]
}

export interface NamesGiven {
  readonly paths: readonly string[]
  readonly parameters: readonly string[]
  readonly keys: readonly string[]
}

/** @param kind of the source, which names and keys must fit. Throws `usage` */
export async function erasedNames(kind: string, { paths, parameters, keys }: NamesGiven): Promise<ErasedNames> {
  if (parameters.length > 0 && kind !== "ssm") throw notOf(kind, "--parameter", "ssm")
  if (keys.length > 0 && kind !== "s3") throw notOf(kind, "--key", "s3")
  const files: string[] = []
  const versions: string[] = []
  if (parameters.length > 0) {
    const { possiblePaths } = await installed("source-ssm", () => import("@backup-cloud/source-ssm"))
    files.push(...parameters.flatMap((name) => possiblePaths(name)))
  }
  if (keys.length > 0) {
    const { pathsOfObject } = await installed("source-s3", () => import("@backup-cloud/source-s3"))
    for (const key of keys) {
      const found = pathsOfObject(toByteString(key))
      files.push(...found.current)
      versions.push(found.versions)
    }
  }
  const globs = [...paths, ...versions.map((folder) => `/${literal(folder)}/.s3-version-*`)]
  return { paths: unique(globs), files: unique(files.map(percentEncode)) }
}

const unique = (list: readonly string[]): string[] => [...new Set(list)].sort()

function notOf(kind: string, option: string, of: string): BackupError {
  return new BackupError("usage", `${option} is for sources of the kind ${of}, not ${kind}; nothing was recorded`, {
    hint: "name what a source of this kind holds with --path",
  })
}

/** The glob that matches a path and no other. @param path byte string; what a glob cannot name becomes `?` */
function literal(path: string): string {
  const text = Buffer.from(path, "latin1").toString("utf8")
  return text.replace(/[*?[\]{}\\]/g, "\\$&").replace(/[\p{Cc}\ufffd]/gu, "?")
}
