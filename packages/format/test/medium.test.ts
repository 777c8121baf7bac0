import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import {
  type Codec,
  heldLine,
  identityCodec,
  type MediumIdentity,
  type MediumStatement,
  mediumCodec,
  parseHeldLine,
} from "../src/index.ts"
import { archive, bytes, digest, earlier, fingerprint, refused, run, source, swap, text, time } from "./samples.ts"

const id = (seed: string): string => digest(seed).slice(0, 32)

const identity: MediumIdentity = {
  ...{
    format: "backup-cloud/1",
    type: "identity",
    archive,
    medium: id("disk"),
    created: time,
    label: "Disk A — Zürich",
  },
  ...{ set: id("disk"), location: "bank vault", location_code: "0011aabb", custodian: "", custodian_code: "ffffffff" },
  parity: 10,
}

const statement: MediumStatement = {
  ...{
    format: "backup-cloud/1",
    type: "medium",
    archive,
    medium: id("disk"),
    number: 2,
    action: "sync",
    created: time,
  },
  ...{ operator: fingerprint("olga"), set: id("disk"), mates: ["0".repeat(32), "f".repeat(32)], location: "0011aabb" },
  ...{ custodian: "ffffffff", bytes: 1_048_576, free: 0, policy: 3, expiries: 0, erasures: 1 },
  heads: [
    { source, run: earlier, sums: digest("a") },
    { source, run, sums: digest("b") },
  ],
  runs: [`${source} ${earlier} 1 none - -`, `${source} ${run} 2 set 1-3,5 1`],
  problems: 0,
}

const documents: [string, Codec<object>, object][] = [
  ["identity", identityCodec, identity],
  ["medium", mediumCodec, statement],
]

for (const [type, codec, value] of documents)
  describe(type, () => {
    const encoded = codec.encode(value)
    const json = text(encoded)

    test("is read back as it was, and has no second form", () => {
      assert.deepEqual(codec.decode(encoded, "x"), value)
      assert.equal(json, `${JSON.stringify(value, null, 2)}\n`)
      refused(() => codec.decode(bytes(JSON.stringify(value)), "x"), "one line")
      refused(() => codec.decode(bytes(`${json}\n`), "x"), "two line ends")
      refused(() => codec.decode(bytes(swap(json, `"${type}"`, `"other"`)), "x"), "other type")
      refused(() => codec.decode(bytes(swap(json, `  "format"`, `  "extra": 1,\n  "format"`)), "x"), "unknown member")
    })

    test("changed anywhere, it is refused or is another document in its one form", () => {
      const change = fc.record({ at: fc.nat(encoded.length - 1), cut: fc.nat(3), put: fc.uint8Array({ maxLength: 3 }) })
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

/** Members with a value that must not be there. */
const wrong: [Codec<object>, object, string, unknown][] = [
  [identityCodec, identity, "label", ""],
  [identityCodec, identity, "label", "a\u001b[2J"],
  [identityCodec, identity, "medium", "disk"],
  [identityCodec, identity, "location_code", "0011AABB"],
  [identityCodec, identity, "parity", 101],
  [mediumCodec, statement, "number", 0],
  [mediumCodec, statement, "action", "copy"],
  [mediumCodec, statement, "mates", [id("b"), id("b")]],
  [mediumCodec, statement, "location", "bank vault"],
  [mediumCodec, statement, "heads", statement.heads.toReversed()],
  [mediumCodec, statement, "runs", statement.runs.toReversed()],
  [mediumCodec, statement, "runs", [`${source} ${run} 1 alone 1 1`, `${source} ${run} 2 alone 1 1`]],
  [mediumCodec, statement, "problems", -1],
]
for (const [codec, value, member, to] of wrong)
  test(`${member} is not ${JSON.stringify(to)}`, () => {
    assert.ok(member in value)
    assert.throws(() => codec.encode({ ...value, [member]: to }), { fault: "usage" })
  })

test("a line of what is held has one form", () => {
  const held = { source, run, number: 2, holding: "set", volumes: "1-3,5", catalogues: "" } as const
  assert.equal(heldLine(held), `${source} ${run} 2 set 1-3,5 -`)
  assert.deepEqual(parseHeldLine(heldLine(held)), held)
  const no = ["", `${source} ${run}`, `${source} ${run} 2 set 1-3,5`, `${source} ${run} 2 set 1-3,5 - -`]
  const parts = [`${source} ${run} 02 set - -`, `${source} ${run} 2 whole - -`, `${source} ${run} 2 set 3,1 -`]
  const more = [`${source} ${run} 0 set - -`, `${source} ${run} 10000 set - -`, `Db ${run} 2 set - -`]
  for (const line of [...no, ...parts, ...more, `${source} ${run} 2 set  -`, `${source} ${run} 2 set 1-300000 -`])
    assert.equal(parseHeldLine(line), null, line)
})
