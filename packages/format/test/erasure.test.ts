import assert from "node:assert/strict"
import { test } from "node:test"
import { type Erasure, erasureCodec } from "../src/index.ts"
import * as sample from "./samples.ts"
import { bytes, digest, refused, swap, text, time } from "./samples.ts"

const erasure: Erasure = {
  format: "backup-cloud/1",
  type: "erasure",
  archive: sample.archive,
  number: 4,
  created: time,
  previous: digest("3"),
  source: "shop",
  until: time,
  paths: ["*.log", "/customers/4711", "letters/[a-f]*/"],
  files: ["app/password", "new%0Aline%FF"],
  sql: Buffer.from("DELETE FROM orders WHERE customer = 4711;\n").toString("base64"),
  database: "shop",
  reason: "asked to be forgotten",
  ticket: "ERASE-12",
  replaces: [1, 2],
}

test("is read back as it was, one member or element a line", () => {
  const encoded = erasureCodec.encode(erasure)
  assert.deepEqual(erasureCodec.decode(encoded, "x"), erasure)
  assert.equal(text(encoded), `${JSON.stringify(erasure, null, 2)}\n`)
  for (const change of [
    { until: "", paths: [], files: [], ticket: "" },
    { sql: "", database: "" },
    { number: 1, previous: "", replaces: [] },
  ])
    assert.deepEqual(erasureCodec.decode(erasureCodec.encode({ ...erasure, ...change }), "x"), {
      ...erasure,
      ...change,
    })
})

test("says only what can be meant", () => {
  const wrong: Partial<Erasure>[] = [
    { number: 0 },
    { number: 1 },
    { number: 1_000_000 },
    { previous: "" },
    { source: "A" },
    { until: "tomorrow" },
    { paths: ["b", "a"] },
    { paths: ["a", "a"] },
    { paths: ["../a"] },
    { paths: ["!a"] },
    { paths: [""] },
    { paths: ["new\nline"] },
    { files: ["b", "a"] },
    { files: ["new\nline"] },
    { files: ["%41"] },
    { files: ["/a"] },
    { files: ["."] },
    { files: ["a//b"] },
    { sql: "" },
    { database: "" },
    { sql: "not base64" },
    { paths: [], files: [], sql: "", database: "" },
    { reason: "\u001b[2J" },
    { replaces: [2, 1] },
    { replaces: [4] },
    { replaces: [0] },
  ]
  for (const change of wrong) {
    assert.throws(() => erasureCodec.encode({ ...erasure, ...change }), { fault: "usage" }, JSON.stringify(change))
    refused(
      () => erasureCodec.decode(bytes(`${JSON.stringify({ ...erasure, ...change }, null, 2)}\n`), "x"),
      JSON.stringify(change),
    )
  }
})

test("has no second form", () => {
  const json = text(erasureCodec.encode(erasure))
  const no = (changed: string, label: string): void => {
    refused(() => erasureCodec.decode(bytes(changed), "x"), label)
  }
  no(json.slice(0, -1), "no line end")
  no(swap(json, `"ticket": "ERASE-12"`, `"ticket": "ERASE\\u002d12"`), "escaped value")
  no(swap(json, `  "ticket": "ERASE-12",\n`, ""), "a member less")
  no(swap(json, `"erasure"`, `"release"`), "other type")
})
