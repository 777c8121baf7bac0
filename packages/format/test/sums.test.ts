import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { decodeSums, encodeSums, names } from "../src/index.ts"
import { bytes, digest, refused, text } from "./samples.ts"

const base = fc.oneof(
  fc.constant("key.gpg"),
  fc.integer({ min: 1, max: 262_144 }).map(names.volume),
  fc.integer({ min: 1, max: 65_535 }).map(names.catalogue),
  fc.integer({ min: 1, max: 9_999 }).chain((n) => fc.constantFrom(names.root(n), names.receipt(n), names.sums(n))),
)

test("any sums are read back, in order", () => {
  fc.assert(
    fc.property(fc.dictionary(base, fc.string().map(digest)), (record) => {
      const sums = new Map(Object.entries(record))
      const decoded = decodeSums(encodeSums(sums), "x")
      assert.deepEqual(decoded, sums)
      assert.deepEqual([...decoded.keys()], [...sums.keys()].sort())
      assert.deepEqual(encodeSums(decoded), encodeSums(sums))
    }),
  )
})

const good = text(
  encodeSums(
    new Map([
      ["root-0001.gpg", digest("r")],
      ["key.gpg", digest("k")],
      ["SHA256SUMS-0001", digest("s")],
    ]),
  ),
)
const [first = "", second = "", third = ""] = good.split("\n")
const cases: [string, string][] = [
  ["CRLF", good.replaceAll("\n", "\r\n")],
  ["one CRLF", good.replace("\n", "\r\n")],
  ["no line end", good.slice(0, -1)],
  ["empty line", `${good}\n`],
  ["not sorted", `${second}\n${first}\n`],
  ["duplicate", `${first}\n${first}\n`],
  ["duplicate name, other digest", `${first}\n${digest("t")}  SHA256SUMS-0001\n`],
  ["unknown name", `${digest("x")}  passwd\n`],
  ["path", `${digest("x")}  ./key.gpg\n`],
  ["directory", `${digest("x")}  a/key.gpg\n`],
  ["binary mark", `${digest("x")} *key.gpg\n`],
  ["one space", `${digest("x")} key.gpg\n`],
  ["three spaces", `${digest("x")}   key.gpg\n`],
  ["tab", `${digest("x")}\tkey.gpg\n`],
  ["upper case", `${digest("x").toUpperCase()}  key.gpg\n`],
  ["short digest", `${digest("x").slice(1)}  key.gpg\n`],
  ["escaped name", `\\${digest("x")}  key.gpg\n`],
  ["space at the end", `${first} \n`],
  ["byte order mark", `\ufeff${good}`],
  ["comment", `# sums\n${good}`],
  ["NUL", `${first}\0\n`],
]
for (const [label, form] of cases) {
  test(`${label}: refused`, () => {
    assert.notEqual(form, good)
    refused(() => decodeSums(bytes(form), "x"), label)
  })
}

test("a fault names the object and the line", () => {
  assert.throws(
    () => decodeSums(bytes(`${first}\n${third}\n${second}\n`), "a/SHA256SUMS-0001"),
    /a\/SHA256SUMS-0001: line 3/,
  )
})

test("sha256sum reads it, and finds a change", () => {
  const folder = mkdtempSync(join(tmpdir(), "sums-"))
  try {
    const check = (): number | null =>
      spawnSync("sha256sum", ["-c", "--strict", "--status", "SHA256SUMS-0001"], { cwd: folder }).status
    writeFileSync(join(folder, "key.gpg"), "k")
    writeFileSync(join(folder, "root-0001.gpg"), "r")
    const sums = new Map([
      ["root-0001.gpg", digest("r")],
      ["key.gpg", digest("k")],
    ])
    writeFileSync(join(folder, "SHA256SUMS-0001"), encodeSums(sums))
    assert.equal(check(), 0)
    writeFileSync(join(folder, "key.gpg"), "K")
    assert.equal(check(), 1)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
