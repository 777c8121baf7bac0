import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { BackupError, exitCode, isFault, timeField, unreachable } from "../src/index.ts"

test("each fault has an exit code of its own, none that means success or a defect", () => {
  const codes = Object.values(exitCode)
  assert.equal(new Set(codes).size, codes.length)
  for (const code of codes) assert.ok(code >= 2 && code < 126)
})

test("an error keeps its cause and its hint, and is known by its fault alone", () => {
  const cause = new Error("EIO")
  const error = new BackupError("unavailable", "disk: cannot be read", { cause, hint: "look at the cable" })
  assert.equal(error.cause, cause)
  assert.equal(error.hint, "look at the cable")
  assert.ok(isFault(error, "unavailable"))
  assert.ok(!isFault(error, "tampered"))
  assert.ok(!isFault({ fault: "unavailable" }, "unavailable"))
  assert.throws(() => unreachable("x" as never), TypeError)
})

test("a time is seconds rounded down and nanoseconds that add", () => {
  assert.equal(timeField(0n), "0.000000000")
  assert.equal(timeField(-1n), "-1.999999999")
  assert.equal(timeField(-1_000_000_000n), "-1.000000000")
  assert.equal(timeField(1_500_000_000n), "1.500000000")
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }), (nanoseconds) => {
      const [seconds = "", rest = ""] = timeField(nanoseconds).split(".")
      assert.equal(rest.length, 9)
      assert.equal(BigInt(seconds) * 1_000_000_000n + BigInt(rest), nanoseconds)
    }),
  )
})
