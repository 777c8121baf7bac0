import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { globs, toByteString } from "@backup-cloud/format"
import { dirSource } from "../src/index.ts"
import { byPath, list, temporary } from "./list.ts"

/** Pattern, path (a slash at the end: a directory), whether `exclude` leaves it out. */
const table: readonly (readonly [string, string, boolean])[] = [
  // Without a slash: the name, at any depth.
  ["core", "core", true],
  ["core", "a/b/core", true],
  ["core", "score", false],
  ["core", "core/", true],
  ["*.o", "a/x.o", true],
  ["*.o", ".o", true],
  ["*.o", "x.obj", false],
  ["*", "anything/", true],
  ["?", "a", true],
  ["[a]", "a", true],
  ["[a]", "[a]", false],
  ["?", "ab", false],
  [".*", ".hidden", true],
  // A slash at the end: directories only.
  ["cache/", "a/cache/", true],
  ["cache/", "a/cache", false],
  ["a/cache/", "a/cache/", true],
  // A slash elsewhere: a path from the root.
  ["/core", "core", true],
  ["/core", "a/core", false],
  ["a/core", "a/core", true],
  ["a/core", "b/a/core", false],
  ["a/*", "a/b", true],
  ["a/*", "a/b/c", false],
  ["a/*/c", "a/.b/c", true],
  ["a/**", "a/b/c", true],
  ["a/**", "a/", false],
  ["**/x", "x", true],
  ["**/x", "a/b/x", true],
  ["a/**/x", "a/x", true],
  ["a/**/x", "a/b/c/x", true],
  ["a/**/x", "b/a/x", false],
  // Classes and braces.
  ["[a-c]x", "bx", true],
  ["[!a-c]x", "bx", false],
  ["[!a-c]x", "dx", true],
  ["[^a-c]x", "dx", true],
  ["*.{jpg,png}", "a.png", true],
  ["{a,b}/c", "b/c", true],
  // Case, and what is special elsewhere, is literal.
  ["Core", "core", false],
  ["a.b", "axb", false],
  ["a+b", "a+b", true],
  ["a+b", "aab", false],
  ["x (1)", "x (1)", true],
  ["x (1)", "x 1", false],
  ["@(a)", "@(a)", true],
  ["+(a)", "aa", false],
  ["a|b", "a|b", true],
  ["a|b", "a", false],
  ["$a^", "$a^", true],
  ['"a"', '"a"', true],
  ['"a"', "a", false],
  ["'a'", "'a'", true],
  ["#a", "#a", true],
  ["[", "[", true],
  ["\\*", "*", true],
  ["\\*", "a", false],
  ["\\!a", "!a", true],
  ["\\[a]", "[a]", true],
  ["a\\\\b", "a\\b", true],
  // Newlines, and bytes that are no text.
  ["*", "a\nb", true],
  ["a*b", "a\nb", true],
  ["a?b", "a\nb", true],
  ["**/x", "a\n/x", true],
  ["a/**", "a/\n/b", true],
  ["*.txt", "\xff\xfe.txt", true],
  ["?.txt", "\xff.txt", true],
  ["ÿ.txt", "\xff.txt", false],
  ["ÿ.txt", toByteString("ÿ.txt"), true],
  ["?.txt", toByteString("ä.txt"), true],
  ["[ä-ö].txt", toByteString("ö.txt"), true],
]

for (const [pattern, path, out] of table) {
  test(`exclude ${JSON.stringify(pattern)} ${out ? "leaves out" : "keeps"} ${JSON.stringify(path)}`, () => {
    const judged = globs([], [pattern]).judge(path.replace(/\/$/, ""), path.endsWith("/"), false)
    assert.equal(judged, out ? "leave" : "take")
  })
}

test("patterns that cannot be meant are refused by name", () => {
  for (const pattern of ["", "/", "!a", "a//b", "./a", "../a", "a/..", "[z-a]"]) {
    const attempt = (): unknown => dirSource({ root: "/", exclude: ["fine", pattern] })
    assert.throws(attempt, (error: Error & { fault: string }) => {
      assert.equal(error.fault, "usage", pattern)
      return error.message.includes(JSON.stringify(pattern))
    })
  }
})

/** A tree of empty files; a slash at the end makes an empty directory. */
function makeTree(root: string, paths: readonly string[]): void {
  for (const path of paths) {
    fs.mkdirSync(`${root}/${path.slice(0, Math.max(0, path.lastIndexOf("/")))}`, { recursive: true })
    if (!path.endsWith("/")) fs.writeFileSync(`${root}/${path}`, "")
  }
}

const tree = ["docs/a.txt", "docs/deep/b.md", "empty/", "src/a.ts", "src/gen/a.txt", "src/gen/x.ts", "top.txt"]

const trees: readonly { include?: string[]; exclude?: string[]; paths: string[] }[] = [
  { include: ["docs"], paths: [".", "docs", "docs/a.txt", "docs/deep", "docs/deep/b.md"] },
  { include: ["*.txt"], paths: [".", "docs", "docs/a.txt", "src", "src/gen", "src/gen/a.txt", "top.txt"] },
  { include: ["/*.txt"], paths: [".", "top.txt"] },
  { include: ["src/gen/*.ts"], paths: [".", "src", "src/gen", "src/gen/x.ts"] },
  { include: ["**/deep"], paths: [".", "docs", "docs/deep", "docs/deep/b.md"] },
  { include: ["{docs/deep,src}/*.*"], paths: [".", "docs", "docs/deep", "docs/deep/b.md", "src", "src/a.ts"] },
  { include: ["empty/"], paths: [".", "empty"] },
  { include: ["none"], paths: ["."] },
  { include: ["src"], exclude: ["gen"], paths: [".", "src", "src/a.ts"] },
  { include: ["src/gen/a.txt"], exclude: ["gen"], paths: ["."] },
  { exclude: ["src", "docs/**"], paths: [".", "docs", "empty", "top.txt"] },
]

for (const { paths, ...options } of trees) {
  test(`a tree with ${JSON.stringify(options)}`, async (t) => {
    const root = temporary(t)
    makeTree(root, tree)
    const entries = await list({ root, ...options })
    assert.deepEqual(
      entries.map((entry) => entry.path),
      paths,
    )
  })
}

test("what an anchored include cannot reach is not even looked into", () => {
  const judge = (include: string, path: string): string => globs([include], []).judge(path, true, false)
  assert.equal(judge("/etc/ssh", "etc"), "look")
  assert.equal(judge("/etc/ssh", "proc"), "leave")
  assert.equal(judge("/etc/s*/x", "etc/ssh"), "look")
  assert.equal(judge("/etc/s*/x", "etc/apt"), "leave")
  assert.equal(judge("/etc/**/x", "etc/a/b/c"), "look")
})

test("a hard link whose first name is excluded is the first name", async (t) => {
  const root = temporary(t)
  fs.writeFileSync(`${root}/a`, "")
  for (const other of ["b", "c"]) fs.linkSync(`${root}/a`, `${root}/${other}`)
  const every = byPath(await list({ root }))
  assert.deepEqual([every.get("b")?.type, every.get("b")?.link], ["h", "a"])
  const entries = byPath(await list({ root, exclude: ["a"] }))
  assert.deepEqual([entries.get("b")?.type, entries.get("b")?.link], ["f", null])
  assert.deepEqual([entries.get("c")?.type, entries.get("c")?.link], ["h", "b"])
})
