// The process dies at every call of a backup to its store, before it or after it took effect, one after the other; no
// call comes after. What was there stays whole, and the next backup and a restore succeed.

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { faulty, type Point, type Store } from "@backup-cloud/store"
import { dirSource } from "../../source-dir/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { copyOf, type Machine, makeMachine } from "./machine.ts"

/** Entries that make a job full, so that a checkpoint falls between what sorts before them and what sorts after. */
const LINKS = 512

const folder = mkdtempSync(join(tmpdir(), "bc-crash-"))
const data = join(folder, "data")
let machine: Machine

before(async () => {
  mkdirSync(join(data, "links"), { recursive: true })
  for (let i = 0; i < LINKS; i++) symlinkSync("nowhere", join(data, "links", String(i)))
  machine = await makeMachine(dirSource({ root: data }))
})
after(() => {
  rmSync(folder, { recursive: true })
})

/** Writes files; their content by name. */
function write(...names: readonly string[]): Map<string, string> {
  for (const name of names) writeFileSync(join(data, name), Buffer.concat([Buffer.from(name), noise(9_000)]))
  return new Map(names.map((name) => [name, readFileSync(join(data, name), "latin1")]))
}

class Died extends Error {}

/** Tells the points of one backup apart, whatever its run is called and in whatever order they come. */
function labels(known: ReadonlySet<string>): (point: Point) => string {
  const seen = new Map<string, number>()
  return ({ when, method, name }) => {
    const what = `${when} ${method} ${newRun(name, known)}`
    const count = (seen.get(what) ?? 0) + 1
    seen.set(what, count)
    return `${what} ${count}`
  }
}

/** The name, with the id of a run that is not known taken out. */
function newRun(name: string, known: ReadonlySet<string>): string {
  return name.replace(/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}/, (run) => (known.has(run) ? run : "new"))
}

async function namesIn(store: Store): Promise<string[]> {
  return (await collect(store.list("", signal))).map(({ name }) => name)
}

/** Runs a backup that commits checkpoints on its way, on a copy of `store` that dies at one point; the copy. */
async function dyingAt(store: Store, known: ReadonlySet<string>, at: string): Promise<Store> {
  const copy = await copyOf(store, () => machine.clock.now)
  const label = labels(known)
  let dead = false
  const dying = faulty(copy, (point) => {
    dead ||= label(point) === at
    if (dead) throw new Died()
  })
  await assert.rejects(machine.backup(dying, { checkpointEvery: 0 }), Died, at)
  return copy
}

async function pointsOf(store: Store, known: ReadonlySet<string>): Promise<string[]> {
  const label = labels(known)
  const points: string[] = []
  const watched = faulty(await copyOf(store, () => machine.clock.now), (point) => void points.push(label(point)))
  const { number } = await machine.backup(watched, { checkpointEvery: 0 })
  assert.ok(number >= 3, `only ${number - 1} checkpoints`)
  return points
}

/**
 * @param before content of the run that is there, if one is
 * @param whole content of the tree
 */
async function dieAtEach(store: Store, before: Map<string, string> | null, whole: Map<string, string>): Promise<void> {
  const known = new Set((await machine.runs(store)).runs.map((run) => run.run))
  const points = await pointsOf(store, known)
  assert.ok(points.length > 60, `${points.length} points`)
  // What is left is the same for every point between two creates, but for random bytes: it is looked at once.
  const left = new Map<string, { point: string; outcome: string }>()
  for (const point of points) {
    const copy = await dyingAt(store, known, point)
    const state = (await namesIn(copy)).map((name) => newRun(name, known)).join(" ")
    if (left.has(state)) continue
    left.set(state, { point, outcome: await lookAt(copy, known, before, whole, point) })
  }
  const outcomes = [...left.values()].map((each) => each.outcome)
  assert.deepEqual(
    new Set(outcomes),
    new Set(["none", "checkpoint", "complete"]),
    "points lie before and after commits",
  )
  assert.ok(left.size > 15, `${left.size} states`)
}

/** Looks at what a dead run left and goes on from there; the outcome that the dead run came to. */
async function lookAt(
  store: Store,
  known: ReadonlySet<string>,
  before: Map<string, string> | null,
  whole: Map<string, string>,
  at: string,
): Promise<string> {
  assert.deepEqual(await machine.problems(store), [], at)
  const dead = (await machine.runs(store)).runs.find((run) => !known.has(run.run))
  const outcome = dead?.receipt.outcome ?? "none"
  if (dead !== undefined) {
    const content = await machine.content(store, dead.run)
    assert.deepEqual(content, new Map([...whole].filter(([name]) => content.has(name))), at)
  }
  if (outcome === "complete") assert.deepEqual(await machine.content(store, "latest"), whole, at)
  else if (before !== null) assert.deepEqual(await machine.content(store, "latest"), before, at)
  else await assert.rejects(machine.content(store, "latest"), { fault: "not-found" }, at)

  assert.equal((await machine.backup(store)).outcome, "complete", at)
  assert.deepEqual(await machine.problems(store), [], at)
  assert.deepEqual(await machine.content(store, "latest"), whole, at)
  assert.equal((await machine.runs(store)).heads.length, 1, at)
  return outcome
}

test("a first backup dies at every call", async () => {
  const whole = write("a", "z")
  await dieAtEach(machine.store, null, whole)
})

test("a backup that builds on another dies at every call", async () => {
  const before = write("a", "z")
  await machine.backup(machine.store)
  const whole = new Map([...before, ...write("b", "y")])
  await dieAtEach(machine.store, before, whole)
})
