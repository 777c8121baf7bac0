import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import {
  encodeRanges,
  escapeControl,
  expectName,
  fromByteString,
  isRanges,
  isSealed,
  names,
  parseRanges,
  parseRunObject,
  parseRunPath,
  patterns,
  percentDecode,
  percentEncode,
  rangeNumbers,
  runId,
  timeText,
  toByteString,
} from "../src/index.ts"
import { run, source } from "./samples.ts"

const byteString = fc
  .uint8Array({ maxLength: 300 })
  .map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"))

/** Texts of these characters alone. */
const ofThese = (characters: string) => fc.string({ unit: fc.constantFrom(...Array.from(characters)) })

describe("object names", () => {
  const known: [string, ReturnType<typeof parseRunObject>][] = [
    ["key.gpg", { kind: "key" }],
    ["share-ada-2.gpg", { kind: "share", holder: "ada-2" }],
    [names.volume(1), { kind: "volume", number: 1 }],
    ["volume-00262144.tar.zst.gpg", { kind: "volume", number: 262_144 }],
    ["catalogue-00065535.tar.zst.gpg", { kind: "catalogue", number: 65_535 }],
    [names.catalogue(7), { kind: "catalogue", number: 7 }],
    [names.root(9_999), { kind: "root", number: 9_999 }],
    [names.receipt(12), { kind: "receipt", number: 12 }],
    [names.sums(3), { kind: "sums", number: 3 }],
    [names.signature(3), { kind: "signature", number: 3 }],
    [names.share("bob"), { kind: "share", holder: "bob" }],
  ]
  for (const [base, object] of known) {
    test(base, () => {
      assert.deepEqual(parseRunObject(base), object)
      assert.equal(isSealed(base), !["receipt", "sums", "signature"].includes(object?.kind ?? ""))
    })
  }

  const unknown = [
    "",
    "key.gpg\n",
    "KEY.GPG",
    "share-.gpg",
    "share-Ada.gpg",
    "share-../x.gpg",
    "volume-00000000.tar.zst.gpg",
    "volume-00262145.tar.zst.gpg",
    "volume-1.tar.zst.gpg",
    "volume-000000001.tar.zst.gpg",
    "volume-00000001.tar.zst.gpg\n",
    "volume-00000001.tar.zst",
    "xvolume-00000001.tar.zst.gpg",
    "catalogue-00065536.tar.zst.gpg",
    "root-0000.gpg",
    "root-10000.gpg",
    "root-٠٠٠١.gpg",
    "receipt-0001.json.sig",
    "SHA256SUMS",
    "SHA256SUMS-0001.asc",
    "SHA256SUMS-0001\r",
  ]
  for (const base of unknown) {
    test(`${JSON.stringify(base)} is none`, () => {
      assert.equal(parseRunObject(base), null)
      assert.equal(isSealed(base), false)
    })
  }

  test("the path of a run's object is taken apart, and no other path is", () => {
    assert.deepEqual(parseRunPath(`${names.runDirectory(source, run)}key.gpg`), { source, run, base: "key.gpg" })
    const no = ["", "key.gpg", `state/${source}/${run}/x`, `backup/${source}/${run}`, `backup/${source}/${run}/a/b`]
    for (const path of [...no, `/backup/${source}/${run}/x`, `backup/UP/${run}/x`, `backup/${source}/../x`])
      assert.equal(parseRunPath(path), null, path)
  })
})

test("a run id is its start in UTC and its randomness", () => {
  assert.equal(runId(new Date("2026-11-23T22:15:00.999Z"), Uint8Array.of(0x4f, 0x1c, 0x9a, 0x02)), run)
  assert.throws(() => runId(new Date(0), new Uint8Array(3)), RangeError)
  fc.assert(
    fc.property(
      fc.date({ min: new Date("1970-01-01"), max: new Date("9999-12-31"), noInvalidDate: true }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (now, random) => {
        assert.match(runId(now, random), patterns.run)
        assert.match(timeText(now), patterns.time)
        assert.equal(new Date(timeText(now)).getTime(), Math.floor(now.getTime() / 1000) * 1000)
      },
    ),
  )
})

test("a name that does not fit is a usage fault, shown without its control characters", () => {
  assert.equal(expectName("name", "db-1"), "db-1")
  for (const bad of ["", "-a", "A", "a_b", "a".repeat(64), "a\n", "ä", "a b"])
    assert.throws(() => expectName("name", bad), { fault: "usage" }, bad)
  assert.throws(() => expectName("name", "\u001b[2J"), /\\u\{1b\}/)
})

test("nothing that drives a terminal or turns text around is left in what is shown", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.doesNotMatch(escapeControl(text), /[\p{Cc}\p{Cf}\u2028\u2029]/u)
    }),
  )
  assert.equal(escapeControl("a\u202eb\u0085\u009b"), "a\\u{202e}b\\u{85}\\u{9b}")
  assert.equal(escapeControl("Zürich 漢字"), "Zürich 漢字")
})

describe("ranges", () => {
  test("any set is read back", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 })), (numbers) => {
        const form = encodeRanges(numbers)
        assert.deepEqual(
          [...rangeNumbers(form)],
          numbers.toSorted((a, b) => a - b),
        )
        assert.ok(isRanges(form))
      }),
    )
    assert.equal(encodeRanges([160, 3, 2, 1, 2, 161]), "1-3,160-161")
    assert.deepEqual(parseRanges("1-153,160"), [
      [1, 153],
      [160, 160],
    ])
  })
  test("any text is refused or the one form of a set", () => {
    fc.assert(
      fc.property(ofThese("0123459-,"), (form) => {
        const spans = parseRanges(form)
        if (spans === null) return
        const largest = spans.at(-1)?.[1] ?? 0
        if (largest < 100_000) assert.equal(encodeRanges(rangeNumbers(form)), form)
      }),
      { numRuns: 2000 },
    )
  })
  for (const form of ["0", "1,", ",1", "2,1", "1,2", "1-2,3", "1-3,2", "3-1", "1-1", "01", "1-02", "1 ", "1--2", "-1"])
    test(`${JSON.stringify(form)} is none`, () => {
      assert.equal(parseRanges(form), null)
    })
})

describe("percent encoding", () => {
  test("any bytes are read back from plain ASCII without space", () => {
    fc.assert(
      fc.property(byteString, (bytes) => {
        const encoded = percentEncode(bytes)
        assert.match(encoded, /^[A-Za-z0-9/._+,:@~%-]*$/)
        assert.equal(percentDecode(encoded), bytes)
      }),
    )
  })
  test("any text is refused or the one form of some bytes", () => {
    const near = ofThese("aF0%29 =é\n")
    fc.assert(
      fc.property(near, (text) => {
        const bytes = percentDecode(text)
        if (bytes !== null) assert.equal(percentEncode(bytes), text)
      }),
      { numRuns: 2000 },
    )
  })
  for (const form of ["%", "%4", "%zz", "%0a", "%41", "a b", "a=b", "ä", "\n", "%2F", "%2D", "%%"])
    test(`${JSON.stringify(form)} is none`, () => {
      assert.equal(percentDecode(form), null)
    })
  test("what is not a byte string is a defect of the caller", () => {
    assert.throws(() => percentEncode("漢"), RangeError)
  })
  test("every byte by itself", () => {
    for (let byte = 0; byte < 256; byte++) {
      const one = String.fromCharCode(byte)
      const stays = /[A-Za-z0-9/._+,:@~-]/.test(one)
      assert.equal(percentEncode(one), stays ? one : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
    }
  })
  test("names for people are UTF-8 where they can be", () => {
    assert.equal(fromByteString(toByteString("Zürich")), "Zürich")
    assert.equal(fromByteString("\xff"), "%FF")
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        assert.equal(fromByteString(toByteString(text)), text)
      }),
    )
  })
})
