// The tree speaks of the project alone: of no machine it was written on, no registry it was installed from, and not of
// how the work on it was organised.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { dirname } from "node:path"
import { test } from "node:test"

const root = dirname(import.meta.dirname)

/** Written in pieces, so that this file does not contain what it looks for. */
const patterns: Readonly<Record<string, RegExp>> = {
  "a path of one machine": new RegExp(["(?<![\\w.}])/(?:wo", "rk|ro", "ot|home/[a-z]+)/"].join("")),
  "the host of a package registry": new RegExp(
    ["\\bregistry\\.[a-z0-9-]+\\.[a-z]{2,}|\\bnpm", "js\\.(?:org|com)|\\bartif", "actory\\b|\\bverda", "ccio\\b"].join(
      "",
    ),
    "i",
  ),
  "how the work was organised": new RegExp(
    [
      "\\bissues? #?[0-9]+\\b|\\bissues sh",
      "ow\\b|\\b(?:AI|sub-?) ?ag",
      "ents?\\b|\\bco-authored-",
      "by\\b|\\blanguage mo",
      "dels?\\b|\\bclau",
      "de\\b|\\banthro",
      "pic\\b|\\b(?:this|previous|next|earlier) ses",
      "sion\\b|\\bother engi",
      "neers?\\b|\\bthe bri",
      "ef\\b",
    ].join(""),
    "i",
  ),
}

/** What is found in `text`, a line each. */
function findings(path: string, text: string): string[] {
  return text.split("\n").flatMap((line, i) =>
    Object.entries(patterns)
      .filter(([, pattern]) => pattern.test(line))
      .map(([what]) => `${path}:${i + 1}: ${what}: ${line.trim().slice(0, 120)}`),
  )
}

test("no file of the tree names a machine, a registry or how it came about", () => {
  const listed = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8", maxBuffer: 2 ** 26 })
  const files = listed.split("\0").filter((path) => path !== "" && existsSync(`${root}/${path}`))
  assert.ok(files.length > 30, "git lists too few files to be this tree")
  const found = files.flatMap((path) => [
    ...findings(path, path),
    ...findings(path, readFileSync(`${root}/${path}`, "utf8")),
  ])
  assert.deepEqual(found, [])
})

test("what must not be there is found where it is", () => {
  const bad = [
    ["see /wo", "rk/main/x"],
    ["cp a /ro", "ot/.gnupg"],
    ['"resolved": "https://registry.', 'example.org/x"'],
    ["npm config set registry https://npm", "js.org"],
    ["part of issue", " 2"],
    ["written in this ses", "sion"],
    ["a sub-ag", "ent did it"],
  ]
  for (const pieces of bad) assert.equal(findings("x", pieces.join("")).length, 1, pieces.join(""))
})

test("what is like it is not", () => {
  const good = [
    "gpg-agent",
    "the session key",
    "~/work",
    "$HOME/.gnupg",
    "/network/x",
    "an issue of trust",
    "${dir}/root/x",
  ]
  for (const text of good) assert.deepEqual(findings("x", text), [], text)
})
