// A run that is told to stop does not wait for the end of a large file: what came before it is kept as a checkpoint, and
// the next run goes on.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { dirSource } from "../../source-dir/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import { makeMachine } from "./machine.ts"

const MiB = 1_048_576

test("stopped amidst a large file", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "bc-stop-"))
  t.after(() => {
    rmSync(root, { recursive: true })
  })
  mkdirSync(join(root, "a"))
  writeFileSync(join(root, "a", "small"), "small")
  const large = noise(64 * MiB)
  writeFileSync(join(root, "large"), large)
  const machine = await makeMachine(dirSource({ root }))
  const stop = new AbortController()
  let most = 0
  const stopped = await machine.backup(machine.store, {
    stop: stop.signal,
    onEvent(event) {
      if (event.event !== "progress") return
      most = Math.max(most, event.bytes)
      if (event.bytes > 5 * MiB) stop.abort()
    },
  })
  assert.equal(stopped.outcome, "checkpoint")
  assert.equal(stopped.entries, 3, "the top, the folder and the small file")
  assert.ok(most > 5 * MiB && most < 40 * MiB, `progress within the file, up to ${most} bytes`)
  assert.deepEqual(await machine.problems(machine.store), [])
  const next = await machine.backup(machine.store)
  assert.equal(next.outcome, "complete")
  const content = await machine.content(machine.store, "latest")
  assert.equal(content.get("a/small"), "small")
  assert.ok(Buffer.from(content.get("large") ?? "", "latin1").equals(large))
})

test("stopped before anything was read, it commits nothing, and the next run is whole", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "bc-stop-"))
  t.after(() => {
    rmSync(root, { recursive: true })
  })
  writeFileSync(join(root, "first"), noise(2 * MiB))
  const machine = await makeMachine(dirSource({ root }))
  const early = machine.backup(machine.store, { stop: AbortSignal.abort() })
  await assert.rejects(early, (error) => isFault(error, "incomplete") && /was not committed/.test(error.message))
  assert.deepEqual((await machine.runs(machine.store)).runs, [])
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  assert.deepEqual(await machine.problems(machine.store), [])
})
