// What is left out of a catalogue.

import assert from "node:assert/strict"
import test from "node:test"
import { type CatalogueEntry, type Erasure, FORMAT, toByteString } from "@backup-cloud/format"
import { Erasing } from "../src/index.ts"

const ID = "0123456789abcdef0123456789abcdef"

const record = (more: Partial<Erasure>): Erasure => ({
  format: FORMAT,
  type: "erasure",
  archive: ID,
  number: 1,
  created: "2026-11-24T12:00:00Z",
  previous: "",
  source: "docs",
  until: "",
  paths: [],
  files: [],
  sql: "",
  database: "",
  reason: "asked",
  ticket: "",
  replaces: [],
  ...more,
})

const entry = (type: CatalogueEntry["type"], path: string, link: string | null = null): CatalogueEntry => ({
  ...{ type, path, link, mode: 0o644, uid: 0, gid: 0, mtime: "0.000000000", chunks: [], attributes: new Map() },
  ...{ size: type === "f" ? 3 : 0, sha256: type === "f" ? "0".repeat(64) : null },
})

/** Paths that stay of `entries`, and how much is left out. */
async function left(of: readonly CatalogueEntry[], ...records: readonly Partial<Erasure>[]) {
  const erasing = new Erasing(records.map((more, i) => record({ number: i + 1, ...more })))
  let reads = 0
  const read = async function* () {
    reads++
    yield* of
  }
  const stay: string[] = []
  for await (const { path } of erasing.entries(read)) stay.push(path)
  return { stay, leftOut: erasing.leftOut, reads: () => reads, erasing, read }
}

test("a directory takes what is beneath it, a name that only begins like it stays", async () => {
  const tree = [
    entry("d", "."),
    entry("d", "a"),
    entry("d", "a/b"),
    entry("f", "a/b/c"),
    entry("f", "a/d"),
    entry("f", "a.b"),
  ]
  assert.deepEqual((await left(tree, { paths: ["/a"] })).stay, [".", "a.b"])
  assert.deepEqual((await left(tree, { paths: ["a/b"] })).stay, [".", "a", "a/d", "a.b"])
  assert.deepEqual((await left(tree, { paths: ["b/"] })).stay, [".", "a", "a/d", "a.b"])
  assert.deepEqual((await left(tree, { paths: ["a/*"] })).stay, [".", "a", "a.b"])
  assert.deepEqual((await left(tree, { paths: ["**"] })).stay, ["."], "the top stays")
  const { leftOut, erasing } = await left(tree, { paths: ["*.b"] }, { paths: ["/a"] })
  assert.deepEqual(leftOut, { entries: 5, files: 3, bytes: 9 })
  assert.deepEqual(
    [erasing.numberOf("a.b", false), erasing.numberOf("a/b/c", false), erasing.numberOf("x", false)],
    [1, 2, 0],
  )
})

test("a path that is named exactly is left out unless it is a directory", async () => {
  const tree = [entry("d", "."), entry("d", "app"), entry("f", "app/x"), entry("f", "app@"), entry("l", "link", "app@")]
  assert.deepEqual((await left(tree, { files: ["app", "app@", "link"] })).stay, [".", "app", "app/x"])
})

test("hostile names: a newline, a bracket, bytes that are no UTF-8", async () => {
  const hostile = ["new\nline", "[a]", "*", "a", "\xff\xfe", toByteString("ü\u202e")]
  const tree = [entry("d", "."), ...hostile.toSorted().map((path) => entry("f", path))]
  const stays = async (more: Partial<Erasure>) => {
    const { stay } = await left(tree, more)
    return hostile.filter((path) => !stay.includes(path))
  }
  assert.deepEqual(await stays({ files: ["new%0Aline"] }), ["new\nline"])
  assert.deepEqual(await stays({ files: ["%FF%FE"] }), ["\xff\xfe"])
  assert.deepEqual(await stays({ files: ["%5Ba%5D"] }), ["[a]"], "nothing in an exact path is a pattern")
  assert.deepEqual(await stays({ files: ["%2A"] }), ["*"])
  assert.deepEqual(await stays({ paths: ["/[a]"] }), ["a"])
  assert.deepEqual(await stays({ paths: ["/\\[a]"] }), ["[a]"])
  assert.deepEqual(await stays({ paths: ["new?line"] }), ["new\nline"])
  assert.deepEqual(await stays({ paths: ["??"] }), ["\xff\xfe", toByteString("ü\u202e")])
  assert.deepEqual(await stays({ paths: ["/*"] }), hostile)
})

test("another name of an erased file goes with it, whichever of them is erased; other links stay", async () => {
  const tree = [
    entry("d", "."),
    entry("f", "b"),
    entry("h", "c", "b"),
    entry("d", "d"),
    entry("h", "d/e", "b"),
    entry("f", "z"),
  ]
  for (const path of ["/b", "/c", "/d/e"]) {
    const { stay, leftOut } = await left(tree, { paths: [path] })
    assert.deepEqual(stay, [".", "d", "z"], path)
    assert.deepEqual(leftOut, { entries: 3, files: 1, bytes: 3 })
  }
  assert.deepEqual((await left(tree, { paths: ["/d"] })).stay, [".", "z"])
  // Its first name lies in a directory that is erased.
  const below = [entry("d", "."), entry("d", "a"), entry("f", "a/b"), entry("h", "c", "a/b")]
  assert.deepEqual((await left(below, { paths: ["/a"] })).stay, ["."])
  // A symbolic link is only a name.
  const symbolic = [entry("d", "."), entry("f", "a"), entry("l", "b", "a")]
  assert.deepEqual((await left(symbolic, { paths: ["/a"] })).stay, [".", "b"])
})

test("the catalogue is read once more, and only where something may have to be left out", async () => {
  const tree = [entry("d", "."), entry("f", "a")]
  assert.equal((await left(tree)).reads(), 1)
  assert.equal((await left(tree, { sql: "eA==", database: "x" })).reads(), 1)
  const { reads, erasing, read } = await left(tree, { paths: ["/a"] })
  assert.equal(reads(), 2)
  const judged: [string, number][] = []
  for await (const { entry: of, number } of erasing.judged(read)) judged.push([of.path, number])
  assert.deepEqual(judged, [
    [".", 0],
    ["a", 1],
  ])
  assert.equal(reads(), 3)
})
