// What the clock, chance and an administrator can do to a source between two runs: the next backup is whole, and builds on
// the run before wherever it may.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { rekeySource } from "@backup-cloud/trust"
import { dirSource } from "../../source-dir/src/index.ts"
import { get, noise } from "../../store/test/helpers.ts"
import { collect, digest, entry, jsPerson, signal } from "../../trust/test/archive.ts"
import type { BackupEvent, BackupOptions, BackupResult } from "../src/index.ts"
import { type Machine, makeMachine, SOURCE } from "./machine.ts"

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Bytes of the file that is there from the start; what a run stores besides is less. */
const CONTENT = 400_000

let folder = ""
let data = ""
let machine: Machine
let last: BackupResult

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bc-clock-"))
  data = join(folder, "data")
  mkdirSync(data)
  writeFileSync(join(data, "large"), noise(CONTENT))
  machine = await makeMachine(dirSource({ root: data }))
  last = await machine.backup(machine.store)
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Adds a file and makes a backup, which is whole; it and the run it began from. */
async function next(name: string, more: Partial<BackupOptions> = {}): Promise<BackupResult & { since: string | null }> {
  writeFileSync(join(data, name), noise(5_000))
  let since: string | null = null
  const onEvent = (event: BackupEvent): void => {
    if (event.event === "started") since = event.since
    assert.notEqual(event.event, "state", "every state can be used")
  }
  const result = await machine.backup(machine.store, { onEvent, ...more })
  assert.equal(result.outcome, "complete")
  assert.deepEqual(await machine.problems(machine.store), [])
  assert.equal((await machine.receipt(machine.store, "latest")).run, result.run)
  const content = await machine.content(machine.store, "latest")
  assert.deepEqual([...content.keys()].sort(), readdirSync(data).sort())
  for (const [path, text] of content) assert.ok(readFileSync(join(data, path)).equals(Buffer.from(text, "latin1")))
  return { ...result, since }
}

/** Such a backup, of which it is shown that it builds on the one before. */
async function nextOnLast(name: string, more: Partial<BackupOptions> = {}): Promise<void> {
  const made = await next(name, more)
  assert.equal(made.since, last.run)
  assert.ok(made.stored < CONTENT, `${made.stored} bytes`)
  last = made
}

function moveClock(milliseconds: number): void {
  machine.clock.now = new Date(machine.clock.now.getTime() + milliseconds)
}

test("a clock that is set back, again and again", async () => {
  for (const step of [-1, -HOUR, -DAY, -40 * DAY, 2 * DAY]) {
    moveClock(step)
    await nextOnLast(`after ${step}`)
  }
})

test("a clock that was years ahead for one run", async () => {
  moveClock(3_650 * DAY)
  const ahead = await next("ahead")
  // To this clock, all there was is older than may be built on.
  assert.ok(ahead.stored > CONTENT)
  last = ahead
  moveClock(-3_650 * DAY)
  await nextOnLast("back again")
  moveClock(DAY)
  await nextOnLast("a day later")
})

test("a clock that is set back while a run is made", async () => {
  for (let i = 0; i < 1_200; i++) writeFileSync(join(data, `file-${i}`), `${i}`)
  const committed: string[] = []
  const onEvent = (event: BackupEvent): void => {
    if (event.event === "progress" && event.entries < 600) moveClock(-DAY)
    if (event.event === "committed") committed.push(event.outcome)
  }
  // Checkpoints go on, though by the clock the last one lies ahead.
  await next("more", { onEvent, checkpointEvery: HOUR })
  assert.ok(committed.length >= 2, committed.join(" "))
})

test("a run id that is taken is not taken again", async () => {
  const taken = Buffer.from(last.run.slice(-8), "hex")
  const free = Buffer.from("00c0ffee", "hex")
  const random = (numbers: Buffer[]) => (count: number) =>
    count === 4 ? new Uint8Array(numbers.shift() ?? free) : machine.random(count)
  const made = await next("other", { random: random([taken, taken]) })
  assert.ok(made.run.endsWith("-00c0ffee"))
})

test("of two runs that begin with one id at once, the later is refused and changes nothing", async () => {
  const taken = new Uint8Array(Buffer.from(last.run.slice(-8), "hex"))
  const objects = async (): Promise<[string, string][]> => {
    const found: [string, string][] = []
    for (const { name } of await collect(machine.store.list("", signal)))
      found.push([name, digest(await get(machine.store, name))])
    return found
  }
  const before = await objects()
  const runs = await machine.runs(machine.store)
  const blind = { ...runs, runs: [], heads: [], broken: [], unfinished: [] }
  const random = (count: number): Uint8Array => (count === 4 ? taken : machine.random(count))
  const second = machine.backup(machine.store, { random, earlier: () => Promise.resolve(blind) })
  await assert.rejects(second, { fault: "conflict" })
  assert.deepEqual(await objects(), before)
  await nextOnLast("after the collision")
})

test("a source with a new signing key builds on what it signed with the old one", async () => {
  moveClock(HOUR)
  const key = await jsPerson(SOURCE, "sign")
  const until = machine.clock.now.toISOString().replace(/\.[0-9]+Z/, "Z")
  await machine.archive.amend([entry("source", key)], rekeySource(SOURCE, key.certificate, until))
  moveClock(HOUR)
  // What the old key signed while it was in force still counts.
  const runs = async (): Promise<string[]> => (await machine.runs(machine.store)).runs.map((run) => run.run)
  assert.deepEqual(await runs(), [last.run])
  await nextOnLast("signed anew", { signer: key.signer })
  assert.equal((await runs()).length, 2)
})
