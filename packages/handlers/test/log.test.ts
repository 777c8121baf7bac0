// The log of a function: what a field could carry by mistake does not get into it, and of an error no more than is chosen.

import assert from "node:assert/strict"
import { test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import { loggedError, openLog } from "../src/log.ts"

test("fields by the names of secrets are taken out, one level down too, and others stay", () => {
  let text = ""
  const log = openLog((line) => (text += line), "docs")
  log.info({ secret: "sesame-1", parameter: { value: "sesame-2", name: "seen-1" }, run: "seen-2" })
  assert.doesNotMatch(text, /sesame/)
  assert.match(text, /seen-1.*seen-2/)
  const { level, source } = JSON.parse(text) as Record<string, unknown>
  assert.deepEqual([level, source], ["info", "docs"])
})

test("of an error its fault, words and hint are logged, and of its cause the name alone", () => {
  const cause = Object.assign(new Error("the answer was sesame"), { name: "AccessDenied", answer: "sesame" })
  const error = new BackupError("refused", "no right", { cause, hint: "ask for it" })
  const wanted = { fault: "refused", message: "no right", hint: "ask for it", cause: "AccessDenied" }
  assert.deepEqual(loggedError(error), wanted)
  assert.deepEqual(loggedError(new TypeError("a defect")), { fault: "defect", message: "a defect" })
})
