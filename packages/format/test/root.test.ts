import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { decodeRoot, encodeRoot, outcomes } from "../src/index.ts"
import { bytes, chunk, digest, earlier, refused, root, run, swap, text } from "./samples.ts"

const lines = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ ...chunk, id: digest(String(i)), volume: 1 + (i % 9) }))
const withChunks = (n: number) => ({
  ...root,
  catalogue: { bytes: 5 * n, sha256: digest("catalogue"), chunks: lines(n) },
})

test("any root is read back, and its length is a power of two", () => {
  const count = fc.maxSafeNat()
  fc.assert(
    fc.property(
      fc.nat(1500),
      fc.record({ entries: count, errors: count, bytes: count }),
      fc.constantFrom(...outcomes),
      fc.integer({ min: 1, max: 9_999 }),
      (n, totals, outcome, number) => {
        const value = { ...withChunks(n), ...totals, outcome, number }
        const encoded = encodeRoot(value)
        assert.deepEqual(decodeRoot(encoded, "x"), value)
        assert.ok(encoded.length >= 65_536)
        assert.equal(encoded.length & (encoded.length - 1), 0)
      },
    ),
    { numRuns: 60 },
  )
})

test("no dot is needed where the rest is a power of two already", () => {
  // As many chunks as fit; the kind and two counts are made longer to fill what is left to the byte.
  const value = (n: number, more: number) => ({
    ...withChunks(n),
    kind: "a".repeat(1 + Math.min(more, 62)),
    entries: 10 ** Math.min(Math.max(more - 62, 0), 15),
    bytes: 10 ** Math.min(Math.max(more - 77, 0), 15),
    errors: 10 ** Math.max(more - 92, 0),
  })
  const left = (n: number): number => 65_536 - 5 - text(encodeRoot(value(n, 0))).indexOf("pad ")
  const line = text(encodeRoot(value(1, 0))).indexOf("pad ") - text(encodeRoot(value(0, 0))).indexOf("pad ")
  const n = Math.floor(left(0) / line)
  const full = value(n, left(n))
  const encoded = encodeRoot(full)
  assert.equal(encoded.length, 65_536)
  assert.ok(text(encoded).endsWith("\npad \n"))
  assert.deepEqual(decodeRoot(encoded, "x"), full)
  const longer = encodeRoot({ ...full, run: earlier, number: 10 })
  assert.equal(longer.length, 131_072)
})

describe("one form", () => {
  const good = text(encodeRoot(root))
  const line = `+ ${chunk.id} 5 ${run} 1\n`
  const cases: [string, string][] = [
    ["empty", ""],
    ["other version", swap(good, "/1 root", "/2 root")],
    ["CRLF", good.replaceAll("\n", "\r\n")],
    ["a dot less", good.replace(".\n", "\n")],
    ["a dot more", good.replace(".\n", "..\n")],
    ["other padding", good.replace(".\n", "x\n")],
    ["twice the padding", good.replace(/\.+\n$/, (dots) => ".".repeat(65_536) + dots)],
    ["no padding", good.replace(/pad .*\n/, "")],
    ["a byte more", `${good}\n`],
    ["something else in place of a byte of padding", `${good.slice(0, -2)}\n\n`],
    ["line missing", good.replace(/kind .*\n/, "")],
    ["other order", good.replace(/(entries .*\n)(errors .*\n)/, "$2$1")],
    ["line twice", good.replace(/(entries .*\n)/, "$1$1")],
    ["bad archive", good.replace(root.archive, root.archive.toUpperCase())],
    ["bad source", good.replace("source db-1", "source DB1.")],
    ["bad run", good.replaceAll(run, "x".repeat(run.length))],
    ["bad kind", good.replace("kind dir", "kind d r")],
    ["unknown outcome", good.replace("complete", "finished")],
    ["number 0", good.replace("number 1", "number 0")],
    ["number too large", good.replace("number 1", "number 10000").replace("....\n", "\n")],
    ["number with leading zero", good.replace("entries 3", "entries 03").replace("..\n", ".\n")],
    [
      "number beyond 2^53 - 1",
      good.replace("entries 3", "entries 9007199254740994").replace(`${".".repeat(15)}\n`, "\n"),
    ],
    ["catalogue of another length", good.replace("catalogue 5", "catalogue 6")],
    ["catalogue with a field more", good.replace("catalogue 5", "catalogue 5 5").replace("...\n", ".\n")],
    ["no digest", good.replace(` ${digest("catalogue")}`, "").replace("\npad ", `\npad ${".".repeat(65)}`)],
    ["chunk of length 0", good.replace(" 5 2026", " 0 2026").replace("catalogue 5", "catalogue 0")],
    [
      "chunk in a catalogue volume beyond the last",
      good.replace(line, line.replace(" 1\n", " 65536\n")).replace("....\n", "\n"),
    ],
    ["no line of a chunk", good.replace(line, line.replace("+", "-"))],
  ]
  for (const [label, form] of cases) {
    test(`${label}: refused`, () => {
      assert.notEqual(form, good)
      refused(() => decodeRoot(bytes(form), "x"), label)
    })
  }
  test("chunks of an earlier run", () => {
    const value = { ...root, catalogue: { ...root.catalogue, chunks: [{ ...chunk, run: earlier, volume: 65_535 }] } }
    assert.deepEqual(decodeRoot(encodeRoot(value), "x"), value)
  })
  test("every fault names the object", () => {
    for (const form of ["", good.replace("+", "-"), good.replace("complete", "x")])
      assert.throws(() => decodeRoot(bytes(form), "a/root-0001.gpg"), /^BackupError: a\/root-0001\.gpg: /)
  })
  test("any change of a byte is refused or gives another root in its one form", () => {
    const encoded = encodeRoot(root)
    const head = good.indexOf("pad ") + 10
    fc.assert(
      fc.property(fc.nat(head), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(encoded)
        changed[at] = byte
        let value: ReturnType<typeof decodeRoot>
        try {
          value = decodeRoot(changed, "x")
        } catch (error) {
          assert.equal((error as { fault?: string }).fault, "tampered")
          return
        }
        assert.deepEqual(Buffer.from(encodeRoot(value)), changed)
      }),
      { numRuns: 1000 },
    )
  })
})
