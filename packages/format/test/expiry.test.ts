import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import {
  commonRanges,
  type ExpiryList,
  encodeRanges,
  expiryCodec,
  isPart,
  joinRanges,
  names,
  type RunParts,
  rangeNumbers,
  withoutRanges,
} from "../src/index.ts"
import { archive, bytes, digest, earlier, refused, run, source, swap, text, time } from "./samples.ts"

const whole = { key: true, roots: true, volumes: "1-3", catalogues: "1" }
const list: ExpiryList = {
  format: "backup-cloud/1",
  type: "expiry",
  archive,
  number: 2,
  created: time,
  previous: digest("list 1"),
  policy: 3,
  runs: [
    { source, run: earlier, sums: digest("sums"), ...whole },
    { source, run, sums: digest("more"), key: false, roots: false, volumes: "7,9-12", catalogues: "" },
    { source: "docs", run, sums: "", key: false, roots: false, volumes: "", catalogues: "" },
  ],
}

describe("expiry", () => {
  const json = text(expiryCodec.encode(list))
  const no = (changed: string, label: string): void => {
    refused(() => expiryCodec.decode(bytes(changed), "x"), label)
  }

  test("is read back as it was, one member or element a line", () => {
    assert.deepEqual(expiryCodec.decode(bytes(json), "x"), list)
    assert.equal(json, `${JSON.stringify(list, null, 2)}\n`)
  })

  test("has no second form", () => {
    no(json.slice(0, -1), "no line end")
    no(JSON.stringify(list), "one line")
    no(swap(json, `"type": "expiry"`, `"type": "policy"`), "other type")
    no(swap(json, `"number": 2`, `"number": 0`), "number 0")
    no(swap(json, `"number": 2`, `"number": 1`), "number 1 with a list before it")
    no(swap(json, `"previous": "${digest("list 1")}"`, `"previous": ""`), "number 2 without one")
    no(swap(json, `"volumes": "1-3"`, `"volumes": "1-2,3"`), "ranges in another form")
    no(swap(json, `"volumes": "1-3"`, `"volumes": "1-262145"`), "more volumes than a run has")
    no(swap(json, `"volumes": "7,9-12"`, `"volumes": ""`), "a committed run of which nothing goes")
    no(swap(json, `"roots": true`, `"roots": 1`), "a number for a boolean")
    no(swap(json, `"source": "docs"`, `"source": "aaa"`), "not sorted")
    no(swap(json, `  "policy": 3`, `  "reason": "",\n  "policy": 3`), "a member more")
    const empty = json.slice(0, json.indexOf(`"runs": [`))
    no(`${empty}"runs": []\n}\n`, "no runs")
  })

  test("a part is what it names; receipts, sums and signatures never are", () => {
    const parts: RunParts = { key: true, roots: true, volumes: "2-3,5", catalogues: "1" }
    const yes = [names.key, names.share("ada"), names.root(9), names.volume(3), names.volume(5), names.catalogue(1)]
    for (const base of yes) assert.ok(isPart(parts, base), base)
    const not = [names.volume(1), names.volume(4), names.catalogue(2)]
    for (const base of [...not, names.receipt(1), names.sums(1), names.signature(1), "notes.txt"])
      assert.ok(!isPart(parts, base), base)
    const none: RunParts = { key: false, roots: false, volumes: "", catalogues: "" }
    for (const base of yes) assert.ok(!isPart(none, base), base)
  })
})

test("ranges are joined, taken apart and compared as sets of numbers are", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 40 }))
  const of = (ranges: string): number[] => [...rangeNumbers(ranges)]
  fc.assert(
    fc.property(numbers, numbers, numbers, (a, b, c) => {
      const [x, y, z] = [encodeRanges(a), encodeRanges(b), encodeRanges(c)]
      assert.equal(joinRanges(x, y, z), encodeRanges([...a, ...b, ...c]))
      assert.equal(withoutRanges(x, y), encodeRanges(a.filter((n) => !b.includes(n))))
      assert.equal(commonRanges(x, y), encodeRanges(a.filter((n) => b.includes(n))))
      assert.deepEqual(
        of(x),
        a.sort((m, n) => m - n),
      )
    }),
  )
  assert.equal(joinRanges(), "")
})
