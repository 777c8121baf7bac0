// Where a password comes from: with real files and commands.

import assert from "node:assert/strict"
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { signal } from "../../trust/test/archive.ts"
import { passwordFrom } from "../src/index.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-password-"))
after(() => {
  rmSync(folder, { recursive: true })
})
const now = () => new Date("2026-11-24T08:00:00Z")

test("a file gives all but its last line's end, and only if nobody else can read it", async () => {
  const file = join(folder, "password")
  writeFileSync(file, " open\nsesame \r\n", { mode: 0o640 })
  const ask = passwordFrom({ file }, now)
  await assert.rejects(ask(signal), (error) => isFault(error, "usage") && !/sesame/.test(error.message))
  chmodSync(file, 0o600)
  assert.equal(await ask(signal), " open\nsesame ")
  await assert.rejects(passwordFrom({ file: join(folder, "none") }, now)(signal), (error) => isFault(error, "usage"))
})

test("a command is asked again after five minutes, and after it has failed", async () => {
  const log = join(folder, "log")
  let time = now().getTime()
  const command = ["sh", "-c", `echo >> '${log}'; wc -l < '${log}'`]
  const ask = passwordFrom({ command }, () => new Date(time))
  assert.deepEqual(await Promise.all([ask(signal), ask(signal)]), ["1", "1"])
  time += 299_999
  assert.equal(await ask(signal), "1")
  time += 1
  assert.equal(await ask(signal), "2")
  const mark = join(folder, "mark")
  const failing = passwordFrom(
    { command: ["sh", "-c", `cat '${mark}' && exit 0; echo half; echo why >&2; exit 3`] },
    now,
  )
  await assert.rejects(failing(signal), (error) => {
    assert.ok(isFault(error, "unavailable"))
    assert.match(error.message, /it said: .*why$/s)
    assert.doesNotMatch(JSON.stringify([error.message, error.cause]), /half/)
    return true
  })
  await assert.rejects(passwordFrom({ command: ["true"] }, now)(signal), /printed nothing/)
  writeFileSync(mark, "whole\n")
  assert.equal(await failing(signal), "whole")
  assert.equal(readFileSync(log, "utf8"), "\n\n")
})
