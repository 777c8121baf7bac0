// What an archive of many objects costs: counted in calls, since times are the machine's.

import assert from "node:assert/strict"
import { test } from "node:test"
import { type Call, observing } from "@backup-cloud/store"
import { foldStatements, openDisk, overview, prepareSync, readStatements, unstated } from "../src/index.ts"
import { place } from "./disks.ts"
import { makeLarge } from "./large.ts"
import { mediaWorld, signal } from "./world.ts"

const RUNS = 40
const OBJECTS = 250

test("of what a disk has, a sync lists names once and reads one small object a run; a status reads none", async () => {
  const world = await mediaWorld()
  const path = place()
  await world.init(path)
  const trust = await world.archive.load()
  const disk = await openDisk(path, trust.archive.archive, signal)
  await makeLarge(world, disk, RUNS, OBJECTS, 1)
  const calls: Call[] = []
  const reader = observing(world.archive.store, (call) => void calls.push(call))
  const prepared = await prepareSync({ trust, reader, disk, signal })
  assert.equal(prepared.plan.steps.length, 1)
  const count = (method: string, prefix: string): number =>
    calls.filter((call) => call.method === method && call.name.startsWith(prefix)).length
  assert.equal(count("list", "backup/"), 1)
  // Of each known run its sums; of the new one its commit, and that of the run before it, which it names.
  assert.ok(count("read", "backup/") < RUNS + 20, `${count("read", "backup/")} reads`)
  assert.ok(count("stat", "backup/") < 10)

  calls.length = 0
  const media = foldStatements(await readStatements(trust, [reader], signal))
  const { runs, problems } = await unstated(trust, reader, media, signal)
  const view = overview(runs, media, null, world.now(), () => false)
  assert.deepEqual([view.runs, view.nowhere.length, problems], [RUNS, 1, []])
  assert.equal(count("list", "backup/"), 1)
  assert.ok(count("read", "backup/") < 20)
})
