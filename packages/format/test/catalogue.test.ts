import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { describe, test } from "node:test"
import fc from "fast-check"
import {
  type CatalogueEntry,
  type ChunkRef,
  encodeChunkLine,
  encodeEntry,
  isSafePath,
  parseChunkLine,
  parseEntryLine,
  pathKey,
  readCatalogue,
} from "../src/index.ts"
import { bytes, chunk, digest, earlier, entry, refused, run, swap } from "./samples.ts"

async function read(text: string, step = text.length): Promise<CatalogueEntry[]> {
  const whole = Buffer.from(text, "latin1")
  async function* pieces() {
    for (let at = 0; at < whole.length; at += step) yield whole.subarray(at, at + step)
  }
  const entries: CatalogueEntry[] = []
  for await (const each of readCatalogue(pieces())) entries.push(each)
  return entries
}

async function readRefused(text: string, label: string): Promise<void> {
  await assert.rejects(
    read(text),
    (error: unknown) => {
      refused(() => {
        throw error as Error
      }, label)
      return true
    },
    label,
  )
}

const byteString = (most: number) =>
  fc
    .uint8Array({ minLength: 1, maxLength: most })
    .map((b) => Buffer.from(b.buffer, b.byteOffset, b.length).toString("latin1"))
const segment = byteString(255).map((s) => s.replace(/[\0/]/g, "_").replace(/^\.{1,2}$/, "..."))
const count = fc.integer({ min: 0, max: 2 ** 31 })
const mtime = fc
  .tuple(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), fc.integer({ min: 0, max: 999_999_999 }))
  .map(([s, ns]) => `${s}.${String(ns).padStart(9, "0")}`)
const attributes = fc.dictionary(byteString(30), byteString(60), { maxKeys: 4 }).map((record) => {
  return new Map(Object.entries(record).filter(([name]) => name !== "error" && name !== "device"))
})
const chunkRef: fc.Arbitrary<ChunkRef> = fc
  .record({
    id: fc.string().map(digest),
    length: fc.integer({ min: 1, max: 4_194_304 }),
    run: fc.constantFrom(run, earlier),
    volume: fc.integer({ min: 1, max: 262_144 }),
  })
  .map((c) => ({ ...c }))
const common = { mode: fc.integer({ min: 0, max: 0o7777 }), uid: count, gid: count, mtime, attributes }
const leaf: fc.Arbitrary<Omit<CatalogueEntry, "path">> = fc.oneof(
  fc.record({ ...common, chunks: fc.array(chunkRef, { maxLength: 4 }), sha256: fc.string().map(digest) }).map((e) => ({
    ...e,
    type: "f" as const,
    size: e.chunks.reduce((sum, c) => sum + c.length, 0),
    link: null,
  })),
  fc.record({ ...common, link: byteString(300).map((s) => s.replaceAll("\0", "_")) }).map((e) => ({
    ...e,
    type: "l" as const,
    size: 0,
    sha256: null,
    chunks: [],
  })),
  fc.record({ ...common, type: fc.constantFrom("p", "s", "b", "c", "u", "d") }).map((e) => ({
    ...e,
    size: 0,
    sha256: null,
    link: null,
    chunks: [],
  })),
)
/** A whole tree: leaves below directories that are there, in catalogue order. */
const tree: fc.Arbitrary<CatalogueEntry[]> = fc
  .array(fc.tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), leaf), { maxLength: 8 })
  .map((leaves) => {
    const byPath = new Map<string, CatalogueEntry>([[".", entry("d", ".")]])
    for (const [segments, value] of leaves) {
      const path = segments.join("/")
      const parents = segments.slice(1).map((_, i) => segments.slice(0, i + 1).join("/"))
      if (parents.some((p) => (byPath.get(p)?.type ?? "d") !== "d") || byPath.has(path)) continue
      for (const parent of parents) byPath.set(parent, entry("d", parent))
      byPath.set(path, { ...value, path })
    }
    return [...byPath.values()].sort((a, b) => (pathKey(a.path) < pathKey(b.path) ? -1 : 1))
  })

test("any tree is read back, whatever pieces its text comes in", async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.integer({ min: 1, max: 400 }), async (entries, step) => {
      const text = entries.map(encodeEntry).join("")
      assert.match(text, /^[\x20-\x7e\n]*$/)
      const again = await read(text, step)
      assert.deepEqual(again, entries)
      assert.equal(again.map(encodeEntry).join(""), text)
    }),
    { numRuns: 200 },
  )
})

test("any change is refused or gives other entries in their one form", async () => {
  const text = [
    entry("d", "."),
    entry("f", "a b\n", { size: 5, sha256: digest("x"), chunks: [chunk], attributes: new Map([["sparse", "1"]]) }),
    entry("l", "c", { link: "-", mtime: "-1.500000000" }),
  ]
    .map(encodeEntry)
    .join("")
  const put = fc.string({ unit: fc.constantFrom(...Array.from("019 -+.%2Daf=\n/:é\0")), maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length), fc.nat(3), put, async (at, cut, more) => {
      const changed = text.slice(0, at) + more + text.slice(at + cut)
      let entries: CatalogueEntry[]
      try {
        entries = await read(changed)
      } catch (error) {
        assert.equal((error as { fault?: string }).fault, "tampered", String(error))
        return
      }
      assert.equal(entries.map(encodeEntry).join(""), changed)
    }),
    { numRuns: 3000 },
  )
})

describe("paths", () => {
  const safe = [
    ".",
    "a",
    "-",
    "a/-",
    "...",
    "..a",
    "a\n",
    "\xff\xfe",
    "a".repeat(255),
    ".git/x",
    " ",
    "a//".slice(0, 1),
  ]
  for (const path of safe) {
    test(`${JSON.stringify(path).slice(0, 40)} is kept`, async () => {
      assert.ok(isSafePath(path))
      const parent = path.includes("/") ? [entry("d", path.slice(0, path.lastIndexOf("/")))] : []
      const entries = path === "." ? [entry("d", ".")] : [entry("d", "."), ...parent, entry("f", path)]
      assert.deepEqual(await read(entries.map(encodeEntry).join("")), entries)
    })
  }
  const unsafe = ["", "/", "/a", "a/", "a//b", "..", "a/..", "../a", "a/../b", "./a", "a/.", "a\0", "a".repeat(256)]
  for (const path of unsafe) {
    test(`${JSON.stringify(path).slice(0, 40)} is refused`, () => {
      assert.ok(!isSafePath(path))
      refused(() => parseEntryLine(encodeEntry(entry("f", path)).trimEnd(), []), path)
    })
  }
  test("the order is that of bytes with the slash first", () => {
    const paths = [".", "a", "a/b", "a/b/c", "a/b\x01", "a\x01", "a b", "a!", "a-b", "b", "\xff"]
    assert.deepEqual(
      paths.toReversed().sort((a, b) => (pathKey(a) < pathKey(b) ? -1 : 1)),
      paths,
    )
  })
})

const top = encodeEntry(entry("d", "."))
const file = encodeEntry(entry("f", "f", { size: 5, sha256: digest("x"), chunks: [chunk] }))
const [fileLine = ""] = file.split("\n")
const chunkLine = encodeChunkLine(chunk)

describe("an entry line", () => {
  const line = `f 0644 0:0 0.000000000 5 ${digest("x")} f -`
  test("looks as documented", () => {
    assert.equal(fileLine, line)
  })
  const more = (attribute: string): string => `${line} ${attribute}`
  const cases: [string, string][] = [
    ["unknown type", swap(line, "f ", "x ")],
    ["no type", swap(line, "f ", " ")],
    ["mode of three digits", swap(line, "0644", "644")],
    ["mode of five digits", swap(line, "0644", "00644")],
    ["mode not octal", swap(line, "0644", "0648")],
    ["no gid", swap(line, "0:0", "0")],
    ["three owners", swap(line, "0:0", "0:0:0")],
    ["negative uid", swap(line, "0:0", "-1:0")],
    ["uid with leading zero", swap(line, "0:0", "00:0")],
    ["uid beyond 2^53 - 1", swap(line, "0:0", "9007199254740993:0")],
    ["size beyond 2^53 - 1", swap(line, " 5 ", " 9007199254740993 ")],
    ["time without fraction", swap(line, "0.000000000", "0")],
    ["time with eight digits", swap(line, "0.000000000", "0.00000000")],
    ["time minus zero", swap(line, "0.000000000", "-0.000000000")],
    ["time from minus zero", swap(line, "0.000000000", "-0.500000000")],
    ["time with leading zero", swap(line, "0.000000000", "01.000000000")],
    ["time with plus", swap(line, "0.000000000", "+0.000000000")],
    ["size with exponent", swap(line, " 5 ", " 5e0 ")],
    ["negative size", swap(line, " 5 ", " -5 ")],
    ["short digest", swap(line, digest("x"), digest("x").slice(1))],
    ["upper-case digest", swap(line, digest("x"), digest("x").toUpperCase())],
    ["no digest of a whole file", swap(line, digest("x"), "-")],
    ["path -", swap(line, " f -", " - -")],
    ["path missing", swap(line, " f -", "  -")],
    ["path of lower-case hex", swap(line, " f -", " %0a -")],
    ["path encoded without need", swap(line, " f -", " %66 -")],
    ["path with raw byte", swap(line, " f -", " \xe9 -")],
    ["path ending in %", swap(line, " f -", " f% -")],
    ["link of a file", swap(line, " f -", " f g")],
    ["fields missing", swap(line, " f -", " f")],
    ["two spaces", swap(line, "f 0644", "f  0644")],
    ["space at the end", `${line} `],
    ["carriage return", `${line}\r`],
    ["escape sequence", swap(line, " f -", " f\x1b[2J -")],
    ["attribute without =", more("sparse")],
    ["attribute without name", more("=1")],
    ["attribute twice", more("a=1 a=2")],
    ["attributes not sorted", more("b=1 a=1")],
    ["attribute with = in its value", more("a=1=2")],
    ["attribute name encoded without need", more("%61=1")],
    ["attribute value encoded without need", more("a=%61")],
    ["top that is a file", swap(line, " f -", " . -")],
    ["directory with size", `d 0755 0:0 0.000000000 1 - d -`],
    ["directory with digest", `d 0755 0:0 0.000000000 0 ${digest("")} d -`],
    ["directory with link", `d 0755 0:0 0.000000000 0 - d x`],
    ["symbolic link without target", `l 0777 0:0 0.000000000 0 - l -`],
    ["symbolic link to NUL", `l 0777 0:0 0.000000000 0 - l a%00`],
    ["hard link without path", `h 0644 0:0 0.000000000 0 - h -`],
    ["hard link out of the tree", `h 0644 0:0 0.000000000 0 - h ../x`],
    ["hard link to an absolute path", `h 0644 0:0 0.000000000 0 - h /etc/passwd`],
    ["hard link to the top", `h 0644 0:0 0.000000000 0 - h .`],
    ["unreadable file with digest", more("error=EACCES")],
    ["changed file without digest", `f 0644 0:0 0.000000000 0 - f - error=changed`],
    ["device without numbers", `b 0644 0:0 0.000000000 0 - b - device=`],
    ["device with one number", `c 0644 0:0 0.000000000 0 - c - device=8`],
    ["device with letters", `b 0644 0:0 0.000000000 0 - b - device=8,x`],
  ]
  for (const [label, form] of cases) {
    test(`${label}: refused`, () => {
      assert.notEqual(form, line)
      refused(() => parseEntryLine(form, []), label)
    })
  }
  const kept: [string, string][] = [
    ["unknown attribute", more("future=%3D%20x")],
    ["empty value", more("xattr.user.empty=")],
    ["negative time", swap(line, "0.000000000", "-1.500000000")],
    ["time just before the epoch", swap(line, "0.000000000", "-1.999999999")],
    ["all mode bits", swap(line, "0644", "7777")],
    ["changed file", more("error=changed")],
    ["unreadable file", `f 0000 0:0 0.000000000 0 - f - error=EACCES`],
    ["symbolic link to -", `l 0777 0:0 0.000000000 0 - l %2D`],
    ["symbolic link out of the tree", `l 0777 0:0 0.000000000 0 - l /etc/passwd`],
    ["device", `b 0600 0:6 0.000000000 0 - sda - device=8,0`],
    ["unknown", `u 0000 0:0 0.000000000 0 - u - error=EIO`],
  ]
  for (const [label, form] of kept) {
    test(`${label}: kept`, () => {
      assert.equal(encodeEntry(parseEntryLine(form, [])), `${form}\n`)
    })
  }
})

describe("a chunk line", () => {
  const line = chunkLine.trimEnd()
  test("is read back", () => {
    assert.equal(line, `+ ${digest("chunk")} 5 ${run} 1`)
    assert.deepEqual(parseChunkLine(line), chunk)
  })
  const cases: [string, string][] = [
    ["no plus", line.slice(2)],
    ["short id", swap(line, digest("chunk"), digest("chunk").slice(1))],
    ["length 0", swap(line, " 5 ", " 0 ")],
    ["length above 4 MiB", swap(line, " 5 ", " 4194305 ")],
    ["length with leading zero", swap(line, " 5 ", " 05 ")],
    ["no run", swap(line, run, "latest")],
    ["volume 0", `${line.slice(0, -1)}0`],
    ["volume beyond the last", `${line.slice(0, -1)}262145`],
    ["negative volume", `${line.slice(0, -1)}-1`],
    ["a field more", `${line} 1`],
    ["two spaces", swap(line, "+ ", "+  ")],
  ]
  for (const [label, form] of cases) {
    test(`${label}: refused`, () => {
      refused(() => parseChunkLine(form), label)
    })
  }
})

describe("a whole catalogue", () => {
  test("of nothing but its top", async () => {
    assert.deepEqual(await read(top), [entry("d", ".")])
  })
  const e = (type: CatalogueEntry["type"], path: string, more?: Partial<CatalogueEntry>): string =>
    encodeEntry(entry(type, path, more))
  const cases: [string, string][] = [
    ["empty", ""],
    ["no top", e("f", "a")],
    ["top twice", top + top],
    ["top last", e("f", "a") + top],
    ["last line without end", (top + file).slice(0, -1)],
    ["empty line", `${top}\n${file}`],
    ["CRLF", top.replace("\n", "\r\n")],
    ["chunk line first", chunkLine + top],
    ["chunks of a directory", top + chunkLine],
    ["chunks of a link", top + e("l", "l", { link: "x" }) + chunkLine],
    ["chunk missing", `${top}${fileLine}\n`],
    ["chunk too many", top + file + chunkLine],
    ["chunks of an unreadable file", `${top}f 0000 0:0 0.000000000 5 - f - error=EACCES\n${chunkLine}`],
    ["out of order", top + e("f", "b") + e("f", "a")],
    ["same path twice", top + e("f", "a") + e("f", "a")],
    ["out of order below a directory", top + e("d", "a") + e("f", "a!") + e("f", "a/b")],
    ["parent missing", top + e("f", "a/b")],
    ["grandparent missing", top + e("d", "a/b") + e("f", "a/b/c")],
    ["parent is a file", top + e("f", "a") + e("f", "a/b")],
    ["parent is a symbolic link", top + e("l", "a", { link: "/etc" }) + e("f", "a/b")],
    ["hard link to a later entry", top + e("h", "a", { link: "b" }) + e("f", "b")],
    ["hard link to itself", top + e("h", "a", { link: "a" })],
    ["a line that never ends", `${top}${"f".repeat(20_000_000)}`],
    ["a long line that ends", `${top}${"f".repeat(20_000_000)}\n`],
  ]
  for (const [label, form] of cases) {
    test(`${label}: refused`, async () => {
      await readRefused(form, label)
    })
  }
  test("hard links to what may have several names", async () => {
    const text = top + e("f", "a") + e("h", "b", { link: "a" }) + e("p", "c") + e("h", "d", { link: "c" })
    assert.equal((await read(text)).length, 5)
  })
  test("a file with megabytes of attributes", async () => {
    const value = "\xff".repeat(65_536)
    const many = new Map(Array.from({ length: 16 }, (_, i) => [`xattr.user.${String(i).padStart(2, "0")}`, value]))
    const entries = [entry("d", "."), entry("f", "f", { attributes: many })]
    assert.deepEqual(await read(entries.map(encodeEntry).join(""), 65_536), entries)
  })
})

test("awk reads it", () => {
  const text = [
    entry("d", "."),
    entry("f", "a b\n%=", { size: 5, sha256: digest("x"), chunks: [chunk] }),
    entry("f", "caf\xc3\xa9", { size: 10, sha256: digest("y"), chunks: [chunk, chunk] }),
  ]
    .map(encodeEntry)
    .join("")
  for (const awk of ["mawk", "gawk"]) {
    const program = '$1 == "+" { n += $3; next } { s += $5; p = p " " $7 } END { print n, s p }'
    const result = spawnSync(awk, [program], { input: bytes(text), encoding: "utf8" })
    assert.equal(result.stdout, "15 15 . a%20b%0A%25%3D caf%C3%A9\n", result.stderr)
  }
})
