// What a source may not yield: each would make a run that cannot be restored, or is not what was meant.

import assert from "node:assert/strict"
import { test } from "node:test"
import { isFault, type Source, type SourceEntry } from "@backup-cloud/format"
import { collect, signal } from "../../trust/test/archive.ts"
import { checked } from "../src/checked.ts"

const base = { mode: 0o644, uid: 0, gid: 0, mtime: "0.000000000", link: null, attributes: new Map<string, string>() }
const stream = {
  kind: "stream",
  open: async () => ({ attributes: new Map(), bytes: (async function* () {})() }),
} as const
const folder = (path: string): SourceEntry => ({ ...base, type: "d", path, size: 0, content: null })
const file = (path: string, more: Partial<SourceEntry> = {}): SourceEntry => ({
  ...{ ...base, type: "f", path, size: 5, content: stream },
  ...more,
})
const sourceOf = (entries: readonly SourceEntry[], kind = "test"): Source => ({
  kind,
  identity: [],
  async *entries() {
    for (const entry of entries) yield [entry]
  },
})
const link = { type: "l", size: 0, content: null } as const

const good = [
  folder("."),
  folder("a"),
  file("a/b", { size: null }),
  file("a-b", { content: { kind: "file", file: "/x" } }),
  file("c", { attributes: new Map([["error", "EACCES"]]), content: null }),
  file("caf\xc3\xa9", { attributes: new Map([["x", "\xff"]]) }),
  file("d", { ...link, link: "anything" }),
]

test("what fits passes unchanged", async () => {
  assert.deepEqual((await collect(checked(sourceOf(good)).entries(signal))).flat(), good)
})

const top = folder(".")
const bad: readonly (readonly [string, readonly SourceEntry[]])[] = [
  ["nothing", []],
  ["no top", [file("a")]],
  ["a top that is a file", [file(".")]],
  ["out of order", [top, file("b"), file("a")]],
  ["a slash sorted as itself", [top, folder("a"), file("a-b"), file("a/b")]],
  ["a path twice", [top, file("a"), file("a")]],
  ["no folder above", [top, file("a/b")]],
  ["a file above", [top, file("a"), file("a/b")]],
  ["an absolute path", [top, file("/a")]],
  ["a way out", [top, folder("a"), file("a/..")]],
  ["a segment that is too long", [top, file("x".repeat(256))]],
  ["an empty path", [top, file("")]],
  ["text that is no bytes", [top, file("\u20ac")]],
  ["text that is no bytes in an attribute", [top, file("a", { attributes: new Map([["x", "\u20ac"]]) })]],
  ["an attribute without a name", [top, file("a", { attributes: new Map([["", "x"]]) })]],
  ["a time of another form", [top, file("a", { mtime: "2026-11-20" })]],
  ["a mode that is none", [top, file("a", { mode: -1 })]],
  ["an owner that is none", [top, file("a", { uid: 0.5 })]],
  ["a size that is none", [top, file("a", { size: Number.NaN })]],
  ["a size of a folder", [top, { ...folder("a"), size: 1 }]],
  ["a file of unknown size", [top, file("a", { size: null, content: { kind: "file", file: "/x" } })]],
  ["a file without content", [top, file("a", { content: null })]],
  ["content of a link", [top, file("a", { type: "l", size: 0, link: "x" })]],
  ["a link to nowhere", [top, file("a", link)]],
]
for (const [what, entries] of bad) {
  test(`${what} ends it`, async () => {
    await assert.rejects(collect(checked(sourceOf(entries)).entries(signal)), (error) => isFault(error, "usage"))
  })
}

test("a kind that no receipt can hold is refused at once", () => {
  assert.throws(
    () => checked(sourceOf(good, "My Kind")),
    (error) => isFault(error, "usage"),
  )
})

test("what a source throws itself is left as it is", async () => {
  const failing: Source = {
    ...sourceOf(good),
    async *entries() {
      yield [top]
      throw new RangeError("its own")
    },
  }
  await assert.rejects(collect(checked(failing).entries(signal)), RangeError)
})
