// Days on which something breaks: disks that are full, fail, rot or cannot be written to; each on a real file system.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { type BackupError, names } from "@backup-cloud/format"
import { directoryStore, unionReader } from "@backup-cloud/store"
import { loadTrust, memoryInMemory, newMemory, readRuns } from "@backup-cloud/trust"
import {
  expectReadOnly,
  foldStatements,
  makeStatement,
  openDisk,
  publishStatement,
  readMemory,
  readStatements,
  repair,
  type ScrubResult,
  scrub,
  sync,
} from "../src/index.ts"
import { disk, type LoopDisk, place } from "./disks.ts"
import { type MediaWorld, mediaWorld, objects, run, signal } from "./world.ts"

const MiB = 1_048_576

/** Runs of `docs`, one a day, each with volumes of these lengths. */
async function commitDays(world: MediaWorld, days: number, ...volumes: readonly number[]): Promise<void> {
  let line: string[] = []
  for (let day = 1; day <= days; day++) {
    const made = await world.archive.commit({
      ...{ source: "docs", run: run(day), previous: line },
      objects: objects(`day ${day} of docs`, ...volumes),
    })
    line = [made.line]
  }
}

async function scrubbed(world: MediaWorld, path: string): Promise<ScrubResult> {
  const trust = await world.archive.load()
  const it = await openDisk(path, trust.archive.archive, signal)
  const { fingerprint } = trust.administrator
  const home = memoryInMemory(newMemory(fingerprint))
  const own = await loadTrust({ reader: it.store, verifier: trust.verifier, admin: fingerprint, home, signal })
  return await scrub({ disk: it, trust: own, memory: await readMemory(it), onEvent: () => undefined, signal })
}

async function holdings(world: MediaWorld): Promise<Record<string, string>> {
  const trust = await world.archive.load()
  const media = foldStatements(await readStatements(trust, [world.archive.store], signal))
  return Object.fromEntries(
    [...media.values()].flatMap((medium, index) =>
      [...medium.runs.values()].map((held) => [`${index} ${held.run.slice(0, 8)}`, held.holding]),
    ),
  )
}

test("a disk that is too small has the newest run whole, and says what found no room", async () => {
  const world = await mediaWorld()
  await commitDays(world, 4, 2 * MiB, 2 * MiB)
  const small = disk("ext4", 16)
  await world.init(small.path)
  const done = await world.sync(small.path)
  assert.deepEqual(
    done.prepared.plan.left.map((each) => each.run),
    [run(1)],
  )
  assert.deepEqual(await holdings(world), { "0 20261104": "alone", "0 20261103": "alone", "0 20261102": "alone" })
  const own = directoryStore(small.path)
  const trust = await world.archive.load({ reader: own })
  const runs = await readRuns(trust, own, "docs", signal)
  assert.deepEqual([runs.runs.length, runs.problems], [4, []], "all receipts are on it")
  const { problems } = await scrubbed(world, small.path)
  assert.deepEqual(problems, [], "what never came is no damage")
})

test("a run larger than a disk spans a set, and the set together has all of it", async () => {
  const world = await mediaWorld()
  await commitDays(world, 1, ...Array<number>(12).fill(2 * MiB))
  const [a, b] = [disk("ext4", 24), disk("ext4", 24)]
  const first = await world.init(a.path)
  const part = await world.sync(a.path)
  assert.equal(part.prepared.plan.left.length, 1)
  assert.deepEqual(await holdings(world), { "0 20261101": "part" })
  await world.init(b.path, { label: "Disk B", set: first.identity.set })
  const rest = await world.sync(b.path)
  assert.deepEqual(rest.prepared.plan.left, [])
  assert.deepEqual(await holdings(world), { "0 20261101": "part", "1 20261101": "set" })
  assert.deepEqual((await scrubbed(world, b.path)).problems, [])

  const alone = [directoryStore(a.path), directoryStore(b.path)] as const
  const trust = await world.archive.load({ reader: alone[0] })
  const [judged] = (await readRuns(trust, alone[0], "docs", signal)).runs
  const asked: string[] = []
  const missing = async (name: string): Promise<boolean> => {
    asked.push(name)
    return false
  }
  const digestOf = async (reader: ReturnType<typeof unionReader>, name: string): Promise<string> => {
    const hash = createHash("sha256")
    for await (const piece of reader.read(name, signal)) hash.update(piece)
    return hash.digest("hex")
  }
  const both = unionReader(alone, missing)
  let onlySecond = ""
  assert.ok((judged?.objects.size ?? 0) >= 15)
  for (const { name, sha256 } of judged?.objects.values() ?? []) {
    const object = names.runDirectory("docs", run(1)) + name
    assert.equal(await digestOf(both, object), sha256, object)
    if (!existsSync(join(a.path, object))) onlySecond = object
  }
  assert.deepEqual(asked, [])
  await assert.rejects(digestOf(unionReader([alone[0]], missing), onlySecond), { fault: "not-found" })
  assert.deepEqual(asked, [onlySecond])
})

test("a disk that fails in the middle of a sync: what was whole stays, and the next sync goes on", async () => {
  const world = await mediaWorld()
  await commitDays(world, 3, MiB, MiB)
  const failing = disk("xfs", 320)
  await world.init(failing.path)
  const prepared = await world.prepare(failing.path)
  const { signer } = world.archive.operator
  let copied = 0
  const broken = sync(prepared, {
    ...{ signer, now: world.now, statement: world.statement(), signal },
    onEvent(event) {
      if (event.event !== "object" || ++copied !== 16) return
      const { status, stderr } = spawnSync("xfs_io", ["-x", "-c", "shutdown", failing.path], { encoding: "utf8" })
      assert.equal(status, 0, `this test needs xfs_io (apt-get install xfsprogs): ${stderr}`)
    },
  })
  await assert.rejects(broken, { fault: "unavailable", message: /the disk failed \(EIO\)/, hint: /plug it in again/ })
  failing.unmount()
  failing.mount()
  const kept = await readMemory(await openDisk(failing.path, prepared.trust.archive.archive, signal))
  assert.equal(kept.runs.get(`docs ${run(3)}`)?.holding, "alone", "the newest run was whole before the disk failed")
  assert.deepEqual((await scrubbed(world, failing.path)).problems, [])
  const done = await world.sync(failing.path)
  assert.ok(done.objects > 0)
  assert.deepEqual(await holdings(world), { "0 20261103": "alone", "0 20261102": "alone", "0 20261101": "alone" })
  assert.deepEqual((await scrubbed(world, failing.path)).problems, [])
})

test("a disk that is mounted read-only is not synced, and is what a scrub wants", async () => {
  const world = await mediaWorld()
  await commitDays(world, 1, 1_000)
  const it = disk("ext4", 16)
  await world.init(it.path)
  const folder = join(it.path, "backup")
  const said = await expectReadOnly(folder).catch((error: unknown) => (error as BackupError).hint ?? "")
  assert.match(said ?? "", /no disk is mounted there/, "the command would be for what the folder lies in")
  await assert.rejects(expectReadOnly(it.path), {
    fault: "refused",
    hint: /remount,ro .*write blocker.*blockdev --setro/,
  })
  it.unmount()
  it.mount("ro")
  await assert.rejects(world.sync(it.path), { fault: "refused", message: /\(EROFS\)/, hint: /remount,rw/ })
  await expectReadOnly(it.path)
  it.unmount()
  it.mount()
  await world.sync(it.path)
})

/** Changes a byte of the object under the file system, while it is not mounted. */
function rot(it: LoopDisk, marker: string): void {
  it.unmount()
  const at = readFileSync(it.image).indexOf(marker)
  assert.ok(at > 0, `${marker} is not in the image`)
  const file = openSync(it.image, "r+")
  writeSync(file, "\0", at)
  closeSync(file)
  it.mount("ro")
}

test("a bit that rots under the file system is found, made again elsewhere, and replaced by the next sync", async () => {
  const world = await mediaWorld()
  await commitDays(world, 2, 200_000, 200_000, 200_000)
  const it = disk("ext4", 32)
  await world.init(it.path, { parity: 40 })
  await world.sync(it.path)
  assert.deepEqual((await scrubbed(world, it.path)).problems, [])
  rot(it, "day 2 of docs 1")
  const object = names.runDirectory("docs", run(2)) + names.volume(2)
  const image = (): string => createHash("sha256").update(readFileSync(it.image)).digest("hex")
  const before = image()
  const found = await scrubbed(world, it.path)
  assert.deepEqual(found.problems, [{ fault: "tampered", object, why: "has other bytes than were signed" }])

  const mended = place()
  const trust = await world.archive.load()
  const there = await openDisk(it.path, trust.archive.archive, signal)
  const [damaged] = found.damaged
  assert.ok(damaged !== undefined)
  const wanted = { source: "docs", run: run(2), objects: new Map([[damaged.name, damaged]]) }
  assert.deepEqual(await repair(there, wanted, mended, signal), [damaged.name])
  assert.equal(Buffer.compare(readFileSync(join(mended, object)), await world.archive.read(object)), 0)
  assert.deepEqual(readdirSync(mended), ["backup"], "nothing else is left there")
  assert.equal(image(), before, "the disk is as it was")
  const none = { ...wanted, objects: new Map([["volume-00000009.tar.zst.gpg", damaged]]) }
  assert.deepEqual(await repair(there, none, place(), signal), [])

  // The operator states it; then the disk may be written to again.
  const medium = foldStatements(await readStatements(trust, [world.archive.store], signal)).get(there.identity.medium)
  assert.ok(medium !== undefined)
  const { policy, expiries, erasures, heads } = medium.last
  const { signer } = world.archive.operator
  const statement = makeStatement({
    ...{ identity: there.identity, action: "scrub", operator: signer.fingerprint, now: world.now(), before: medium },
    ...{ mates: [], used: 0, free: 0, policy, expiries, erasures, heads, runs: found.runs, problems: 1 },
  })
  await publishStatement(statement, world.statement(), signer, [world.archive.store], signal)
  assert.deepEqual(await holdings(world), { "0 20261101": "alone", "0 20261102": "part" })
  it.unmount()
  it.mount()
  const done = await world.sync(it.path)
  assert.equal(done.objects, 1, "only what rotted is copied")
  assert.deepEqual((await scrubbed(world, it.path)).problems, [])
  assert.deepEqual(await holdings(world), { "0 20261101": "alone", "0 20261102": "alone" })
  assert.equal(statSync(join(it.path, object)).size, damaged.length)
})
