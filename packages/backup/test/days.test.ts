// A month of daily backups of a tree that changes: how many private-key operations a restore needs, and what it brings.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { dirSource } from "../../source-dir/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import { makeMachine } from "./machine.ts"

const DAYS = 30
const DAY = 86_400_000
/** A run and the earlier runs that it uses, each opened by one operation. */
const MOST_OPERATIONS = 17

test("the 30th daily run of a changing tree uses at most 16 others and comes back whole", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "bc-days-"))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const data = join(folder, "data")
  mkdirSync(data)
  const put = (name: string, day: number): void => {
    writeFileSync(join(data, name), Buffer.concat([Buffer.from(`${name} on day ${day}\n`), noise(8_000)]))
  }
  for (let i = 0; i < 40; i++) put(`old-${i}`, 0)
  const machine = await makeMachine(dirSource({ root: data }))
  let most = 0
  for (let day = 1; day <= DAYS; day++) {
    // Something new stays for good, so each run holds something that the later ones would like to use.
    put(`new-${day}`, day)
    put(`old-${day}`, day)
    if (day % 5 === 0) rmSync(join(data, `new-${day - 3}`))
    machine.clock.now = new Date(machine.clock.now.getTime() + DAY)
    const { outcome } = await machine.backup(machine.store)
    assert.equal(outcome, "complete")
    const { uses } = await machine.receipt(machine.store, "latest")
    assert.ok(uses.length + 1 <= MOST_OPERATIONS, `day ${day} uses ${uses.length} runs`)
    most = Math.max(most, uses.length)
  }
  assert.equal(most, MOST_OPERATIONS - 1, "the limit was reached, or this shows nothing")
  const there = readdirSync(data).map((name) => [name, readFileSync(join(data, name), "latin1")] as const)
  const opened = new Set<string>()
  const content = await machine.content(machine.store, "latest", opened)
  assert.deepEqual(
    [...content].sort(),
    there.sort(([a], [b]) => (a < b ? -1 : 1)),
  )
  assert.equal(opened.size, MOST_OPERATIONS)
  assert.deepEqual(await machine.problems(machine.store), [])
})
