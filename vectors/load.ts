// Reads index.json and unpacks vectors for tests. Fails if there are none: a suite must not pass by testing nothing.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"

/** One vector; the members are described in README.md. */
export interface Vector {
  readonly name: string
  readonly archive: string
  readonly remove: readonly string[]
  readonly overlay: string
  readonly source: string
  readonly run: string
  readonly admin: string
  readonly expect: string
  readonly recover: number
  readonly reason: string
  readonly release: string
  readonly opens?: "keyring"
  readonly manifest: string
  readonly lost: readonly string[]
}

/** What a restored entry must be. `path` and `link` are percent-encoded, `mtime` as in the catalogue. */
export interface ManifestEntry {
  readonly path: string
  readonly type: "f" | "d" | "l" | "h" | "p" | "s" | "b" | "c" | "u"
  readonly mode: string
  readonly uid: number
  readonly gid: number
  readonly mtime: string
  readonly size: number
  readonly sha256: string
  readonly link: string
  readonly device: string
  readonly error: string
}

/** Absolute path of a file of this folder. */
export const vectorFile = (name: string): string => join(import.meta.dirname, name)

export function loadVectors(): Vector[] {
  const vectors = JSON.parse(readFileSync(vectorFile("index.json"), "utf8")) as Vector[]
  assert.ok(vectors.length > 50, "vectors/index.json lists too few vectors")
  return vectors
}

export function loadManifest(vector: Vector): ManifestEntry[] {
  const lines = readFileSync(vectorFile(vector.manifest), "utf8").trimEnd().split("\n")
  return lines.map((line) => JSON.parse(line) as ManifestEntry)
}

/** Unpacks the archive of `vector` into `directory`, which is made if need be. */
export function unpackVector(vector: Vector, directory: string): void {
  mkdirSync(directory, { recursive: true })
  const unpack = (name: string): void => {
    execFileSync("tar", ["--zstd", "-xf", vectorFile(name), "-C", directory])
  }
  unpack(vector.archive)
  for (const name of vector.remove) rmSync(join(directory, name))
  if (vector.overlay !== "") unpack(vector.overlay)
}
