import assert from "node:assert/strict"
import { test } from "node:test"
import { type DrillResult, drillCodec } from "../src/index.ts"
import { drill } from "./drill-sample.ts"

const accepted = (value: DrillResult): void => {
  assert.deepEqual(drillCodec.decode(drillCodec.encode(value), "x"), value)
}
const refused = (value: DrillResult, label: string): void => {
  const written = new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)
  assert.throws(() => drillCodec.decode(written, "x"), { fault: "tampered" }, label)
  assert.throws(() => drillCodec.encode(value), { fault: "usage" }, label)
}

test("passed is what nothing speaks against, and failed is what has a reason", () => {
  accepted(drill)
  const failed = { ...drill, outcome: "failed" as const, reason: "3 differences from the catalogue" }
  accepted(failed)
  accepted({ ...failed, differences: 3, controls: [], checks: [{ name: "files", outcome: "failed" }] })
  refused({ ...drill, differences: 1 }, "differences")
  refused({ ...drill, controls: [] }, "no controls")
  refused({ ...drill, checks: [] }, "no checks")
  refused({ ...drill, controls: [{ name: "flipped-byte", outcome: "failed" }] }, "a control that did not fail")
  refused({ ...drill, checks: [{ name: "files", outcome: "failed" }] }, "a check that failed")
  refused({ ...drill, reason: "it was slow" }, "a reason")
  refused({ ...failed, reason: "" }, "no reason")
})

test("it is from the archive or a medium, and names what was tried once, in order", () => {
  accepted({ ...drill, from: "0123456789abcdef0123456789abcdef" })
  refused({ ...drill, from: "disk A" }, "a medium's label")
  refused({ ...drill, controls: [...drill.controls].reverse() }, "order")
  refused({ ...drill, checks: [...drill.checks, ...drill.checks] }, "twice")
  refused({ ...drill, checks: [{ name: "srv/Mail", outcome: "passed" }] }, "no name")
})
