// A tree that holds more than one run can: another run goes on from the checkpoint of the one before, and the last one is
// whole. What can't come to an end that way ends with an error.

import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgSealer } from "@backup-cloud/openpgp/seal"
import { directoryStore, type Store } from "@backup-cloud/store"
import { dirSource } from "../../source-dir/src/index.ts"
import type { BackupEvent, BackupOptions, BackupResult } from "../src/index.ts"
import { copyTo, type Machine, makeMachine } from "./machine.ts"

const MB = 1_000_000
/** Entries that make a job full. */
const LINKS = 512
const LIMITS = { volumes: 3, commits: 9_999 }

let folder = ""
let data = ""
let machine: Machine

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bc-full-"))
  data = join(folder, "data")
  mkdirSync(data)
  machine = await makeMachine(dirSource({ root: data }))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Files `a`, `b`, … each in a job of its own, for what makes a job full lies between them. */
function writeApart(count: number): string[] {
  const names = Array.from({ length: count }, (_, i) => String.fromCodePoint(97 + i))
  for (const name of names) {
    writeFileSync(join(data, name), randomBytes(5_000))
    mkdirSync(join(data, `${name}-links`))
    for (let i = 0; i < LINKS; i++) symlinkSync("nowhere", join(data, `${name}-links`, String(i)))
  }
  return names
}

interface Made {
  readonly result: BackupResult
  /** Run and outcome of each commit. */
  readonly commits: readonly (readonly [string, string])[]
}

async function backup(store: Store, more: Partial<BackupOptions>): Promise<Made> {
  const commits: [string, string][] = []
  const onEvent = (event: BackupEvent): void => {
    if (event.event === "committed") commits.push([event.run, event.outcome])
  }
  return { result: await machine.backup(store, { onEvent, ...more }), commits }
}

async function isWhole(store: Store, made: Made, names: readonly string[]): Promise<void> {
  assert.equal(made.result.outcome, "complete")
  assert.deepEqual(made.commits.at(-1), [made.result.run, "complete"])
  assert.deepEqual(await machine.problems(store), [])
  const { runs, heads } = await machine.runs(store)
  assert.deepEqual(
    heads.map((run) => run.run),
    [made.result.run],
  )
  // Each follows the one before alone.
  for (const [i, run] of runs.entries())
    assert.deepEqual(
      run.receipt.previous.map((line) => line.split(" ")[0]),
      runs.slice(Math.max(0, i - 1), i).map((each) => each.run),
    )
  const content = await machine.content(store, "latest")
  assert.deepEqual([...content.keys()].sort(), [...names].sort())
  for (const name of names)
    assert.ok(readFileSync(join(data, name)).equals(Buffer.from(content.get(name) ?? "", "latin1")))
}

test("a run that has no volumes left is followed by others, until the tree is whole", async () => {
  const names = writeApart(7)
  const { store } = machine
  // Each checkpoint closes a volume, so that few bytes need many.
  const made = await backup(store, { limits: LIMITS, checkpointEvery: 0 })
  const runs = [...new Set(made.commits.map(([run]) => run))]
  assert.ok(runs.length >= 3, `${runs.length} runs`)
  for (const run of runs) {
    const judged = (await machine.runs(store)).runs.find((each) => each.run === run)
    const volumes = [...(judged?.objects.keys() ?? [])].filter((name) => name.startsWith("volume-"))
    assert.ok(volumes.length > 0 && volumes.length <= LIMITS.volumes, volumes.join(" "))
  }
  await isWhole(store, made, names)
  // Nothing was stored twice: another run, without the limit, finds all there.
  const again = await backup(store, {})
  assert.equal(again.commits.length, 1)
  assert.ok(again.result.stored < made.result.stored / 3)
})

test("a run that may make no more receipts is followed by others", async () => {
  const names = writeApart(6)
  const made = await backup(machine.store, { limits: { volumes: 1_000, commits: 2 }, checkpointEvery: 0 })
  const counts = new Map<string, number>()
  for (const [run] of made.commits) counts.set(run, (counts.get(run) ?? 0) + 1)
  assert.ok(counts.size >= 3 && [...counts.values()].every((count) => count <= 2), JSON.stringify([...counts]))
  await isWhole(machine.store, made, names)
})

test("told to stop, no other run follows", async () => {
  writeApart(7)
  const stop = new AbortController()
  const onEvent = (event: BackupEvent): void => {
    if (event.event === "committed") stop.abort()
  }
  const options = { limits: LIMITS, checkpointEvery: 0, stop: stop.signal, onEvent }
  const { outcome } = await machine.backup(machine.store, options)
  assert.equal(outcome, "checkpoint")
  assert.equal((await machine.runs(machine.store)).runs.length, 1)
})

test("runs that get no further than the one before come to an end, and what they hold is kept", async () => {
  const names = writeApart(7)
  const source = dirSource({ root: data })
  let changing = true
  // Everything changes before each run.
  const restless = {
    ...source,
    entries: (signal: AbortSignal) => {
      if (changing) for (const name of names) writeFileSync(join(data, name), randomBytes(5_000))
      return source.entries(signal)
    },
  }
  const options = { source: restless, limits: LIMITS, checkpointEvery: 0 }
  await assert.rejects(backup(machine.store, options), (error) => {
    assert.ok(error instanceof Error && "fault" in error)
    assert.equal(error.fault, "unavailable")
    assert.match(error.message, /^run \S+ is full and got no further than the one before; it is a checkpoint$/)
    return true
  })
  assert.deepEqual(await machine.problems(machine.store), [])
  const { runs } = await machine.runs(machine.store)
  assert.deepEqual(
    runs.map((run) => run.receipt.outcome),
    ["checkpoint", "checkpoint"],
  )
  changing = false
  await isWhole(machine.store, await backup(machine.store, options), names)
})

test("real volumes: large files are spread over runs, one larger than a run is refused by itself", async () => {
  await using home = await openGpgHome()
  const doors = { sealer: gpgSealer(home), opener: gpgPassphraseOpener(home) }
  const limits = { ...LIMITS, volumes: 2 }
  const archive = join(folder, "archive")
  mkdirSync(archive)
  const store = await copyTo(machine.store, directoryStore(archive))
  for (const name of ["a", "b", "c", "d"]) writeFileSync(join(data, name), randomBytes(40 * MB))
  const made = await backup(store, { ...doors, limits })
  assert.equal(new Set(made.commits.map(([run]) => run)).size, 2)
  await isWhole(store, made, ["a", "b", "c", "d"])

  writeFileSync(join(data, "e"), randomBytes(140 * MB))
  await assert.rejects(backup(store, { ...doors, limits }), (error) => {
    assert.ok(error instanceof Error && "fault" in error)
    assert.equal(error.fault, "refused")
    assert.match(error.message, /^what is being read alone fills more than the 2 volumes of a run; run \S+ was not/)
    return true
  })
  assert.deepEqual(await machine.problems(store), [])
  assert.equal((await machine.runs(store)).runs.length, 2)
  const larger = await backup(store, { ...doors, limits: { ...limits, volumes: 4 } })
  await isWhole(store, larger, ["a", "b", "c", "d", "e"])
})

test("volumes are closed at the size that whoever opens them in memory sets", async () => {
  writeFileSync(join(data, "a"), randomBytes(40 * MB))
  const most = 16_777_216
  const made = await backup(machine.store, { limits: { volumeBytes: most } })
  const lengths: number[] = []
  for await (const { name, size } of machine.store.list("backup/", new AbortController().signal))
    if (name.includes("/volume-")) lengths.push(size)
  assert.deepEqual([lengths.length, lengths.every((length) => length < most + 4_096)], [3, true], String(lengths))
  await isWhole(machine.store, made, ["a"])
})
