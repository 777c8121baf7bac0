import assert from "node:assert/strict"
import { test } from "node:test"
import { isSafePath, pathKey, toByteString } from "@backup-cloud/format"
import fc from "fast-check"
import { pathsOfObject } from "../src/index.ts"
import { entriesOf, tableOf } from "../src/source.ts"
import type { Listed } from "../src/table.ts"

/** Keys made of what is escaped, what looks like it, and what sorts around a slash. */
const piece = fc.constantFrom(
  "/",
  "/",
  ".",
  "-",
  "a",
  "b",
  "\0",
  "!",
  ".s3-",
  "self",
  "dot",
  "empty",
  "is",
  "ü",
  "a".repeat(256),
)
const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""))
const object = (key: string, version = "", old = false): Listed => ({
  ...{ key: toByteString(key), version, old },
  size: key.length,
  modified: 1_700_000_000_000,
  etag: "e",
  storageClass: "STANDARD",
})
const reader = { open: () => Promise.reject(new Error("nothing is read")) }

async function* pages(listed: readonly Listed[]): AsyncGenerator<readonly Listed[]> {
  yield listed
}

async function entries(listed: readonly Listed[]) {
  return [...entriesOf(await tableOf(pages(listed), "s3://bucket", 1000), reader)]
}

async function paths(...keys: string[]): Promise<string[]> {
  const found = await entries(keys.map((key) => object(key)))
  return found.filter(({ type }) => type === "f").map(({ path }) => path)
}

test("any keys make a catalogue: sorted, each path safe and once, each parent there, each key told", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(text, { maxLength: 12 }), async (keys) => {
      const listed = keys.flatMap((key) => [object(key, "v2"), object(key, "v1", true)])
      const found = await entries(listed)
      assert.equal(found[0]?.path, ".")
      const folders = new Set<string>()
      for (const [i, entry] of found.entries()) {
        assert.ok(isSafePath(entry.path), entry.path)
        assert.ok(i === 0 || pathKey(found[i - 1]?.path ?? "") < pathKey(entry.path), "sorted, none twice")
        const slash = entry.path.lastIndexOf("/")
        assert.ok(i === 0 || folders.has(slash < 0 ? "." : entry.path.slice(0, slash)), "its folder comes before it")
        if (entry.type === "d") folders.add(entry.path)
      }
      const files = found.filter(({ type }) => type === "f")
      const told = files.map(({ path, attributes }) => [
        attributes.get("s3.key") ?? path,
        attributes.get("s3.version"),
        attributes.has("s3.old"),
      ])
      const given = listed.map(({ key, version, old }) => [key, version, old])
      assert.deepEqual(new Set(told.map(String)), new Set(given.map(String)))
      assert.equal(files.length, listed.length)
    }),
    { numRuns: 500 },
  )
})

test("keys that are paths stay as they are, and others are escaped alike each time", async () => {
  assert.deepEqual(await paths("a/b", "a-b", "ü/ %41", ".hidden"), [".hidden", "a/b", "a-b", toByteString("ü/ %41")])
  assert.deepEqual(await paths("a", "a/b", "a/"), ["a/.s3-empty", "a/.s3-self", "a/b"])
  assert.deepEqual(await paths(".", "x/../y", "/z", "", ".s3-self"), [
    ".s3-dot",
    ".s3-empty/.s3-self",
    ".s3-empty/z",
    ".s3-is.s3-self",
    "x/.s3-dotdot/y",
  ])
  const [long] = await paths(`${"x".repeat(256)}/y`)
  assert.match(long ?? "", /^\.s3-hash-[0-9a-f]{64}\/y$/)
})

test("a list that names an object twice makes one entry", async () => {
  assert.deepEqual(await paths("a", "a"), ["a"])
})

test("wherever an object lies, it is where it can lie, and its older versions are in one folder", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(text, { minLength: 1, maxLength: 6 }), async (keys) => {
      const found = await entries(keys.flatMap((key) => [object(key), object(key, "v1", true)]))
      for (const { path, attributes } of found.filter(({ type }) => type === "f")) {
        const { current, versions } = pathsOfObject(attributes.get("s3.key") ?? path)
        const old = attributes.has("s3.old")
        assert.ok(old ? path === `${versions}/.s3-version-v1` : current.includes(path), path)
      }
    }),
  )
})
