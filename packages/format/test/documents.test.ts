import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import {
  archiveCodec,
  type Codec,
  drillCodec,
  objectLine,
  parseObjectLine,
  policyCodec,
  receiptCodec,
  releaseCodec,
  requestCodec,
} from "../src/index.ts"
import { drill } from "./drill-sample.ts"
import * as sample from "./samples.ts"
import { bytes, digest, earlier, fingerprint, refused, run, swap, text, time } from "./samples.ts"

const archive = {
  format: "backup-cloud/1" as const,
  type: "archive" as const,
  archive: sample.archive,
  created: time,
}

const documents: [string, Codec<object>, object][] = [
  ["archive", archiveCodec, archive],
  ["policy", policyCodec, sample.policy],
  ["receipt", receiptCodec, sample.receipt],
  ["request", requestCodec, sample.request],
  ["release", releaseCodec, sample.release],
  ["drill", drillCodec, drill],
]

for (const [type, codec, value] of documents) {
  describe(type, () => {
    const encoded = codec.encode(value)
    const json = text(encoded)
    const no = (changed: string, label: string): void => {
      refused(() => codec.decode(bytes(changed), "x"), label)
    }

    test("is read back as it was, one member or element a line", () => {
      assert.deepEqual(codec.decode(encoded, "x"), value)
      assert.equal(json, `${JSON.stringify(value, null, 2)}\n`)
    })

    test("has no second form", () => {
      no(json.slice(0, -1), "no line end")
      no(`${json}\n`, "two line ends")
      no(`${json}{}`, "something after")
      no(` ${json}`, "space before")
      no(`\ufeff${json}`, "byte order mark")
      no(json.replaceAll("\n", "\r\n"), "CRLF")
      no(JSON.stringify(value), "one line")
      no(`${JSON.stringify(value, null, 4)}\n`, "other indentation")
      no(swap(json, `"type": `, `"type":  `), "a space more")
      no(swap(json, `"type"`, `"\\u0074ype"`), "escaped name")
      no(swap(json, `"${type}"`, `"\\u00${type.charCodeAt(0).toString(16)}${type.slice(1)}"`), "escaped value")
      no(swap(json, `"backup-cloud/1"`, `"backup-cloud\\/1"`), "escaped slash")
      no(swap(json, `"backup-cloud/1"`, `"backup-cloud/2"`), "other format")
      no(swap(json, `"${type}"`, `"other"`), "other type")
      no(swap(json, `  "type"`, `  "format": "backup-cloud/1",\n  "type"`), "duplicate member")
      no(swap(json, `  "format"`, `  "__proto__": {},\n  "format"`), "__proto__")
      no(swap(json, `  "format"`, `  "extra": 1,\n  "format"`), "unknown member")
      no(swap(json, `  "type": "${type}",\n`, ""), "missing member")
      no("null\n", "null")
      no("[]\n", "list")
      no("", "empty")
      no("[".repeat(200_000), "nested too deep")
    })

    test("has its members in one order", () => {
      const members = Object.entries(value)
      const turned = Object.fromEntries([...members.slice(0, -2), ...members.slice(-2).reverse()])
      no(`${JSON.stringify(turned, null, 2)}\n`, "reordered")
    })

    test("is UTF-8", () => {
      const at = json.indexOf(`"backup-cloud/1"`) + 1
      for (const byte of [0x80, 0xff, 0xc0, 0xed])
        refused(() => codec.decode(Buffer.from(encoded).fill(byte, at, at + 1), "x"), `byte ${byte}`)
    })

    test("changed anywhere, it is refused or is another document in its one form", () => {
      const change = fc.record({
        at: fc.nat(encoded.length - 1),
        cut: fc.integer({ min: 0, max: 3 }),
        put: fc.uint8Array({ maxLength: 3 }),
      })
      fc.assert(
        fc.property(change, ({ at, cut, put }) => {
          const changed = Buffer.concat([encoded.subarray(0, at), put, encoded.subarray(at + cut)])
          let decoded: object
          try {
            decoded = codec.decode(changed, "x")
          } catch (error) {
            assert.equal((error as { fault?: string }).fault, "tampered")
            return
          }
          assert.deepEqual(Buffer.from(codec.encode(decoded)), changed)
        }),
        { numRuns: 500 },
      )
    })
  })
}

describe("numbers", () => {
  const json = text(receiptCodec.encode(sample.receipt))
  for (const form of [
    "-0",
    "1e3",
    "1.0",
    "01",
    "+1",
    "9007199254740992",
    "1e400",
    "-1",
    "1.5",
    '"1"',
    "null",
    "0x10",
  ]) {
    test(`${form} is no count`, () => {
      refused(() => receiptCodec.decode(bytes(swap(json, `"entries": 1024`, `"entries": ${form}`)), "x"), form)
    })
  }
  test("the largest count is 2^53 - 1", () => {
    const most = swap(json, `"entries": 1024`, `"entries": 9007199254740991`)
    assert.equal(receiptCodec.decode(bytes(most), "x").entries, Number.MAX_SAFE_INTEGER)
  })
})

describe("text", () => {
  const json = text(requestCodec.encode(sample.request))
  const withReason = (reason: string): Uint8Array => bytes(swap(json, sample.request.reason, reason))
  for (const form of ["\\n", "\\u0000", "\\t", "\\u001b[2J", "\u007f", "\\ud800", "\\udc00x", "\\u00e9", "\n", "\\/"]) {
    test(`${JSON.stringify(form)} is refused`, () => {
      refused(() => requestCodec.decode(withReason(form), "x"), form)
    })
  }
  test("anything else is kept", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (reason) => {
        const whole = reason.isWellFormed() && !/[\0-\x1f\x7f]/.test(reason)
        if (whole) {
          const again = requestCodec.decode(requestCodec.encode({ ...sample.request, reason }), "x")
          assert.equal(again.reason, reason)
        } else assert.throws(() => requestCodec.encode({ ...sample.request, reason }), { fault: "usage" })
      }),
    )
  })
})

/** A member by its path, and a value that must not be there. */
type Case = [path: string, value: unknown]

function set(value: unknown, path: string, to: unknown): unknown {
  const copy = structuredClone(value) as Record<string, unknown>
  const keys = path.split(".")
  const last = keys.pop() ?? ""
  let at = copy
  for (const key of keys) at = at[key] as Record<string, unknown>
  assert.ok(last in at, path)
  at[last] = to
  return copy
}

const ada = sample.policy.holders[0]!
const bob = sample.policy.holders[1]!
const key = `key.gpg 900 ${digest("k")}`
const tables: [string, Codec<object>, object, Case[]][] = [
  [
    "archive",
    archiveCodec,
    archive,
    [
      ["archive", "0123"],
      ["archive", sample.archive.toUpperCase()],
      ["created", "2026-02-30T00:00:00Z"],
      ["created", "2026-11-23T24:00:00Z"],
      ["created", "2026-11-23T22:15:60Z"],
      ["created", "2026-11-23 22:15:00Z"],
      ["created", "2026-11-23T22:15:00.000Z"],
      ["created", "2026-11-23T22:15:00+00:00"],
      ["created", ""],
    ],
  ],
  [
    "policy",
    policyCodec,
    sample.policy,
    [
      ["number", 0],
      ["number", 1_000_000],
      ["number", 1],
      ["previous", ""],
      ["previous", "00"],
      ["administrator.file", "admin.asc"],
      ["administrator.file", `${fingerprint("other")}.asc`],
      ["administrator.fingerprint", fingerprint("admin").toLowerCase()],
      ["release", "all"],
      ["threshold", 0],
      ["threshold", 2],
      ["recover", digest("x").toUpperCase()],
      ["holders", [bob, ada]],
      ["holders", [ada, ada]],
      ["holders.0.name", "Ada"],
      ["holders.0.name", "-ada"],
      ["holders.0.name", "a".repeat(64)],
      ["holders.0.name", "abe"],
      ["holders.0.sha256", digest("other")],
      ["holders.0.file", `ada-${digest("ada").slice(0, 15)}.asc`],
      ["holders.0.file", `../ada-${digest("ada").slice(0, 16)}.asc`],
      ["holders.0.status", "gone"],
      ["holders.0.since", ""],
      ["operators.0.status", "leaked"],
      ["sources.0.kind", "DIR"],
      ["sources.0.schedule", "a\nb"],
      ["sources.0.fresh_after", "never"],
      ["sources.0.keys.0.accept_until", ""],
      ["sources.0.keys.0.sha256", digest("other")],
      ["sources.0.keys.0.file", `ada-${digest("db-1").slice(0, 16)}.asc`],
      ["rules.horizon_days", 0],
      ["rules", {}],
    ],
  ],
  [
    "policy with all that may be left out",
    policyCodec,
    sample.fullPolicy,
    [
      ["handed", []],
      ["keep", []],
      ["keep", [...sample.fullPolicy.keep!, ...sample.fullPolicy.keep!]],
      ["keep.0.minimum", 0],
      ["keep.0.daily", -1],
      ["holds.0.run", "latest"],
      ["holds.0.until", "never"],
      ["holds.0.name", "a\nb"],
      ["media.copies", 0],
      ["media", {}],
      ["drills.0.every_days", 0],
      ["drills.0.rto_minutes", 1.5],
      ["verifiers.0.sources", []],
      ["verifiers.0.sources", ["b", "a"]],
      ["verifiers.0.status", "leaked"],
      ["verifiers.0.file", `ada-${digest("vera").slice(0, 16)}.asc`],
    ],
  ],
  [
    "receipt",
    receiptCodec,
    sample.receipt,
    [
      ["run", "20261123T221500Z-4F1C9A02"],
      ["number", 0],
      ["number", 10_000],
      ["policy", 0],
      ["outcome", "ok"],
      ["recipients", [...sample.receipt.recipients].reverse()],
      ["recipients", [fingerprint("ada"), fingerprint("ada")]],
      ["previous", [`${earlier} ${digest("a")}`, `${earlier} ${digest("b")}`].sort()],
      ["previous", [`${earlier}  ${digest("a")}`]],
      ["uses.0.volumes", "1,2"],
      ["uses.0.volumes", "1-262145"],
      ["uses.0.catalogues", "65536"],
      ["uses", [sample.receipt.uses[0], sample.receipt.uses[0]]],
      ["errors", ["EACCES 0"]],
      ["errors", ["EACCES 01"]],
      ["errors", ["EACCES 1", "EACCES 2"]],
      ["errors", ["EACCES 9007199254740993"]],
      ["errors", ["EACCES"]],
      ["handed.0.file", "a\tb"],
      ["objects", [key, key]],
      ["objects", [key, `key.gpg 901 ${digest("k")}`]],
      ["objects", [`volume-00000001.tar.zst.gpg 1 ${digest("v")}`, key]],
      ["objects", [`volume-1.tar.zst.gpg 1 ${digest("v")}`]],
      ["objects", [`volume-00262145.tar.zst.gpg 1 ${digest("v")}`]],
      ["objects", [`receipt-0001.json 1 ${digest("v")}`]],
      ["objects", [`SHA256SUMS-0001 1 ${digest("v")}`]],
      ["objects", [`passwd 1 ${digest("v")}`]],
      ["objects", [`key.gpg 09 ${digest("v")}`]],
      ["objects", [`key.gpg 9007199254740993 ${digest("v")}`]],
    ],
  ],
  [
    "request",
    requestCodec,
    sample.request,
    [
      ["id", "x"],
      ["operator", ""],
      ["kind", "everything"],
      ["wants.0.root", 10_000],
      ["wants.0.volumes", "1-999999999"],
      ["wants.0.catalogues", "70000"],
      ["evidence.0.key", "QUJ"],
      ["evidence.0.key", "QUJ="],
      ["evidence.0.key", "QR=="],
      ["evidence.0.key", "QU-_"],
      ["evidence.0.key", "QUJD\nQUJD"],
      ["trust.0.name", "config/../archive.json"],
      ["trust.0.name", "backup/db-1/key.gpg"],
    ],
  ],
  [
    "release",
    releaseCodec,
    sample.release,
    [
      ["without_erasures", 0],
      ["secrets", [...sample.release.secrets].reverse()],
      ["secrets", [`${run} key.gpg ${digest("K")}`, `${run} key.gpg ${digest("L")}`].sort()],
      ["secrets", [`${run} ../x ${digest("K")}`]],
      ["secrets", [`${run} key.gpg 00`]],
    ],
  ],
]

for (const [type, codec, value, cases] of tables) {
  describe(`${type}, member by member`, () => {
    for (const [path, to] of cases) {
      test(`${path}: ${JSON.stringify(to).slice(0, 90)}`, () => {
        const changed = set(value, path, to)
        refused(() => codec.decode(bytes(`${JSON.stringify(changed, null, 2)}\n`), "x"), path)
        assert.throws(() => codec.encode(changed as object), { fault: "usage" })
      })
    }
  })
}

test("policy number 1 has no previous one", () => {
  const first = { ...sample.policy, number: 1, previous: "" }
  assert.deepEqual(policyCodec.decode(policyCodec.encode(first), "x"), first)
})

test("what may be left out of a policy comes in one order", () => {
  const { fullPolicy } = sample
  assert.deepEqual(policyCodec.decode(policyCodec.encode(fullPolicy), "x"), fullPolicy)
  const { handed, ...rest } = fullPolicy
  assert.deepEqual(policyCodec.decode(policyCodec.encode(rest), "x"), rest)
  refused(
    () => policyCodec.decode(bytes(`${JSON.stringify({ ...rest, handed }, null, 2)}\n`), "x"),
    "handed comes last",
  )
})

test("a release by threshold takes more than one holder where the policy says so", () => {
  const two = { ...sample.policy, release: "threshold" as const, threshold: 2 }
  assert.deepEqual(policyCodec.decode(policyCodec.encode(two), "x"), two)
})

test("a fault names the object and the member", () => {
  assert.throws(
    () => receiptCodec.decode(bytes(swap(text(receiptCodec.encode(sample.receipt)), "1-153,160", "1,2")), "a/b.json"),
    /^BackupError: a\/b\.json: uses\.0\.volumes/,
  )
})

test("a line of objects is read back as it was", () => {
  for (const line of sample.receipt.objects) assert.equal(objectLine(parseObjectLine(line)), line)
})

test("a request says that it is for what was erased too, or says nothing of it", () => {
  const asking = { ...sample.request, without_erasures: true } as const
  assert.deepEqual(requestCodec.decode(requestCodec.encode(asking), "x"), asking)
  const json = text(requestCodec.encode(asking))
  refused(
    () => requestCodec.decode(bytes(swap(json, `"without_erasures": true`, `"without_erasures": false`)), "x"),
    "false",
  )
  refused(() => requestCodec.decode(bytes(swap(json, `"without_erasures": true`, `"without_erasures": 1`)), "x"), "1")
})
