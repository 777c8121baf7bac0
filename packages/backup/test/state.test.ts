// What a run does when the state that an earlier one left can't be used: it goes on, says why, and builds on what it can.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import { faulty, type Store } from "@backup-cloud/store"
import { dirSource } from "../../source-dir/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import type { BackupEvent, BackupOptions, BackupResult } from "../src/index.ts"
import { type Machine, makeMachine } from "./machine.ts"

/** Bytes of the tree; what a run stores besides is less. */
const CONTENT = 400_000

let folder = ""
let machine: Machine
let store: Store
/** The run that the next one builds on. */
let last: BackupResult

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bc-state-"))
  mkdirSync(join(folder, "data"))
  writeFileSync(join(folder, "data", "file"), noise(CONTENT))
  machine = await makeMachine(dirSource({ root: join(folder, "data") }))
  store = machine.store
  last = await machine.backup(store)
  assert.ok(last.stored > CONTENT)
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

type StateEvent = BackupEvent & { readonly event: "state" }

interface Made {
  readonly result: BackupResult
  readonly flaws: readonly StateEvent[]
}

/** A backup, and what it said of states. Whatever that was, it is whole. */
async function backup(on: Store, more: Partial<BackupOptions> = {}): Promise<Made> {
  const flaws: StateEvent[] = []
  const onEvent = (event: BackupEvent): void => {
    if (event.event === "state") flaws.push(event)
  }
  const result = await machine.backup(on, { onEvent, ...more })
  assert.equal(result.outcome, "complete")
  assert.equal((await machine.content(store, "latest")).get("file")?.length, CONTENT)
  assert.deepEqual(await machine.problems(store), [])
  return { result, flaws }
}

/** Names of the state that a run left. */
async function stateOf(run: string): Promise<string[]> {
  return (await collect(store.list(`state/docs/${run}/`, signal))).map(({ name }) => name)
}

/** It built on nothing, and said so once. */
function buildsOnNothing({ result, flaws }: Made, why: StateEvent["why"]): void {
  assert.ok(result.stored > CONTENT, `${result.stored} bytes`)
  assert.deepEqual(
    flaws.map((flaw) => [flaw.why, flaw.run, flaw.instead]),
    [[why, last.run, null]],
  )
  assert.match(flaws[0]?.message ?? "", new RegExp(`state/docs/${last.run}/`))
}

/** It built on an earlier run, and found nothing to say. */
function buildsOnAll({ result, flaws }: Made): void {
  assert.ok(result.stored < CONTENT, `${result.stored} bytes`)
  assert.deepEqual(flaws, [])
}

test("a state that is there and may be read is built on, and nothing is said", async () => {
  buildsOnAll(await backup(store))
})

test("a state that is missing, whole or in part, is read anew; the run after builds on that", async () => {
  for (const part of ["root-", "catalogue-", ""]) {
    const names = (await stateOf(last.run)).filter((name) => name.includes(part))
    assert.ok(names.length > 0)
    for (const name of names) await store.remove(name, signal)
    const made = await backup(store)
    buildsOnNothing(made, "missing")
    last = made.result
  }
})

test("a state that is damaged is read anew", async () => {
  for (const name of await stateOf(last.run)) await machine.archive.replace(name, noise(70_000))
  buildsOnNothing(await backup(store), "damaged")
  buildsOnAll(await backup(store))
})

test("a state that the source's new secret does not open is read anew, as is everything it knew", async () => {
  const secret = new Uint8Array(32).fill(7)
  buildsOnNothing(await backup(store, { secret }), "damaged")
  buildsOnAll(await backup(store, { secret }))
})

test("a state that the store gives no right to read is told apart, each time, until the right is given", async () => {
  for (const method of ["stat", "read"]) {
    const closed = faulty(store, (point) => {
      if (point.method === method && point.name.startsWith("state/"))
        throw new BackupError("refused", `${point.name}: the server gives no right to it`)
    })
    buildsOnNothing(await backup(closed), "denied")
    last = (await backup(store)).result
    const again = await backup(closed)
    buildsOnNothing(again, "denied")
    last = again.result
  }
  buildsOnAll(await backup(store))
})

test("a store that does not answer ends the run: what it holds is not taken to be gone", async () => {
  const silent = faulty(store, (point) => {
    if (point.method === "read" && point.name.startsWith("state/"))
      throw new BackupError("unavailable", `${point.name}: the server did not answer`)
  })
  await assert.rejects(machine.backup(silent), { fault: "unavailable" })
  buildsOnAll(await backup(store))
})

test("where the last run left no state, the one before counts", async () => {
  writeFileSync(join(folder, "data", "second"), noise(1_000))
  const second = await machine.backup(store)
  // As if the process had died between its commit and its state.
  for (const name of await stateOf(second.run)) if (name.includes("root-")) await store.remove(name, signal)
  const { result, flaws } = await backup(store)
  assert.ok(result.stored < CONTENT)
  assert.deepEqual(
    flaws.map((flaw) => [flaw.why, flaw.run, flaw.instead]),
    [["missing", second.run, last.run]],
  )
})
