import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { describe, test } from "node:test"
import fc from "fast-check"
import { BLOCK, memberSize, parseTar, TAR_END, writeHeader } from "../src/index.ts"
import { digest, refused } from "./samples.ts"
import { makeTar } from "./volumes.ts"

const chunks = fc.uniqueArray(
  fc.record({ id: fc.string().map(digest), bytes: fc.uint8Array({ minLength: 1, maxLength: 1500 }) }),
  { selector: (c) => c.id, minLength: 1, maxLength: 6 },
)

test("any chunks are read back, and GNU tar lists the same", () => {
  fc.assert(
    fc.property(chunks, (list) => {
      const tar = makeTar(list)
      assert.equal(
        tar.length,
        list.reduce((sum, c) => sum + memberSize(c.bytes.length), TAR_END),
      )
      const members = [...parseTar(tar, "x")]
      assert.deepEqual(
        members.map((m) => ({ id: m.id, bytes: new Uint8Array(m.bytes) })),
        list.map((c) => ({ id: c.id, bytes: new Uint8Array(c.bytes) })),
      )
      const listed = spawnSync("tar", ["-tvf", "-", "--numeric-owner", "--utc"], { input: tar, encoding: "utf8" })
      assert.equal(listed.stderr, "")
      const expected = list.map((c) => new RegExp(`^-rw------- 0/0 +${c.bytes.length} 1970-01-01 00:00 ${c.id}$`))
      const lines = listed.stdout.trimEnd().split("\n")
      assert.equal(lines.length, expected.length)
      lines.forEach((line, i) => {
        assert.match(line, expected[i]!)
      })
    }),
    { numRuns: 30 },
  )
})

describe("one form", () => {
  const a = { id: digest("a"), bytes: Buffer.from("hello") }
  const b = { id: digest("b"), bytes: Buffer.alloc(512, 7) }
  const good = makeTar([a, b])
  /** The archive with bytes put at an offset, and the first header's checksum made right again. */
  const changed = (at: number, put: string, mend = true): Buffer => {
    const copy = Buffer.from(good)
    copy.write(put, at, "latin1")
    if (mend) {
      copy.write(" ".repeat(8), 148, "latin1")
      const sum = copy.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0)
      copy.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
    }
    return copy
  }
  const header = (id: string, length: number): Buffer => {
    const block = Buffer.alloc(BLOCK)
    writeHeader(block, 0, id, length)
    return block
  }
  const cases: [string, Buffer][] = [
    ["empty", Buffer.alloc(0)],
    ["nothing but its end", Buffer.alloc(TAR_END)],
    ["no end", good.subarray(0, -TAR_END)],
    ["half an end", good.subarray(0, -BLOCK)],
    ["a block after the end", Buffer.concat([good, Buffer.alloc(BLOCK)])],
    ["blocked to 10 KiB", Buffer.concat([good, Buffer.alloc(10_240 - good.length)])],
    ["a byte after the end", Buffer.concat([good, Buffer.alloc(1)])],
    ["garbage in the end", Buffer.concat([good.subarray(0, -1), Buffer.from("x")])],
    ["a member after the end", Buffer.concat([good, good])],
    ["a member twice", makeTar([a, b, a])],
    ["symbolic link", changed(156, "2")],
    ["hard link", changed(156, "1")],
    ["directory", changed(156, "5")],
    ["fifo", changed(156, "6")],
    ["pax header", changed(156, "x")],
    ["global pax header", changed(156, "g")],
    ["GNU long name", changed(156, "L")],
    ["sparse", changed(156, "S")],
    ["old regular file", changed(156, "\0")],
    ["link name", changed(157, "/etc/passwd")],
    ["prefix", changed(345, "..")],
    ["name is no digest", changed(0, "x")],
    ["upper-case name", changed(0, a.id.toUpperCase())],
    ["longer name", changed(64, "0")],
    ["path", changed(0, "../")],
    ["mode", changed(100, "0004755\0")],
    ["owner", changed(108, "0000001\0")],
    ["owner's name", changed(265, "root")],
    ["time", changed(136, "00000000001\0")],
    ["size in base 256", changed(124, "\x80\0\0\0\0\0\0\0\0\0\0\x05")],
    ["size with spaces", changed(124, "          5\0")],
    ["size ended by a space", changed(124, "00000000005 ")],
    ["GNU magic", changed(257, "ustar  \0")],
    ["no magic", changed(257, "\0\0\0\0\0\0\0\0")],
    ["something after the prefix", changed(511, "x")],
    ["wrong checksum", changed(148, "000000\0 ", false)],
    ["checksum in another form", changed(148, good.toString("latin1", 148, 154).padStart(7, "0") + " ", false)],
    ["padding of a member", changed(BLOCK + 5, "x", false)],
    ["longer than it is", changed(124, "00000100000\0")],
    ["length 0", Buffer.concat([header(a.id, 0), Buffer.alloc(TAR_END)])],
    ["length above 4 MiB", makeTar([{ id: a.id, bytes: Buffer.alloc(4_194_305) }])],
    ["length of 8 GiB", Buffer.concat([header(a.id, 8 ** 11 - 1), Buffer.alloc(BLOCK + TAR_END)])],
  ]
  for (const [label, form] of cases) {
    test(`${label}: refused`, () => {
      assert.notDeepEqual(form, good)
      refused(() => [...parseTar(form, "x")], label)
    })
  }
  test("a chunk of 4 MiB", () => {
    const most = { id: a.id, bytes: Buffer.alloc(4_194_304, 1) }
    assert.equal([...parseTar(makeTar([most]), "x")][0]?.bytes.length, 4_194_304)
  })
  test("no change of a single byte outside the contents goes unseen", () => {
    const contents = new Set<number>()
    for (let i = 0; i < 5; i++) contents.add(BLOCK + i)
    for (let i = 0; i < 512; i++) contents.add(3 * BLOCK + i)
    for (let at = 0; at < good.length; at++) {
      if (contents.has(at)) continue
      const form = Buffer.from(good)
      form[at] = form[at]! ^ 1
      refused(() => [...parseTar(form, "x")], `byte ${at}`)
    }
  })
})
