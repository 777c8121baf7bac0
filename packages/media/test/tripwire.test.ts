// Somebody with all rights in the archive, and at times with a source's key, against what a disk remembers.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { appendFileSync, cpSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { names } from "@backup-cloud/format"
import { directoryStore } from "@backup-cloud/store"
import { memoryInMemory, newMemory, readRuns, setRules, verifyArchive } from "@backup-cloud/trust"
import { goes, putList } from "../../trust/test/lists.ts"
import { DiskAlarm, openDisk, readMemory, scrub } from "../src/index.ts"
import { place } from "./disks.ts"
import { type MediaWorld, mediaWorld, run, signal } from "./world.ts"

interface Attacked {
  readonly world: MediaWorld
  readonly disk: string
  readonly object: (day: number, base: string) => string
}

/** Two runs of `docs` in an archive and on a disk. */
async function attacked(): Promise<Attacked> {
  const world = await mediaWorld()
  const first = await world.archive.commit({ source: "docs", run: run(1) })
  await world.archive.commit({ source: "docs", run: run(2), previous: [first.line] })
  const disk = place()
  await world.init(disk)
  await world.sync(disk)
  return { world, disk, object: (day, base) => names.runDirectory("docs", run(day)) + base }
}

function fingerprint(disk: string): string {
  const files = readdirSync(disk, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort()
  const hash = createHash("sha256")
  for (const path of paths) hash.update(path).update(readFileSync(path))
  return hash.digest("hex")
}

/** What is on the disk is whole by itself. */
async function wholeAlone({ world, disk }: Attacked): Promise<void> {
  const reader = directoryStore(disk)
  const { admin } = world.archive
  const trust = await world.archive.load({ reader })
  const memory = memoryInMemory(newMemory(admin.certificate.fingerprint))
  const options = { trust, reader, quick: false, memory, onEvent: () => undefined, signal, width: 4 }
  const report = await verifyArchive(options)
  assert.deepEqual([report.runs, report.problems], [2, []])
}

async function expectAlarm(it: Attacked, says: RegExp): Promise<void> {
  const before = fingerprint(it.disk)
  await assert.rejects(it.world.sync(it.disk), (error: unknown) => {
    assert.ok(error instanceof DiskAlarm && error.fault === "alarm", String(error))
    assert.match(error.alarms.map(({ object, why }) => `${object}: ${why}`).join("\n"), says)
    assert.match(error.message, /nothing was copied and the disk is as it was/)
    assert.match(error.hint ?? "", /unplug the disk/)
    return true
  })
  assert.equal(fingerprint(it.disk), before)
  await wholeAlone(it)
}

const damages: Record<string, { does: (it: Attacked) => Promise<void>; says: RegExp }> = {
  "a run is deleted": {
    does: async ({ world, object }) => {
      rmSync(join(world.path, object(1, "")), { recursive: true })
    },
    says: /backup\/docs\/20261101\S*\/: vanished, and no expiry list names it/,
  },
  "all is deleted but the configuration": {
    does: async ({ world }) => {
      rmSync(join(world.path, "backup"), { recursive: true })
    },
    says: /backup\/docs\/20261101.*\nbackup\/docs\/20261102/,
  },
  "a volume is deleted": {
    does: async ({ world, object }) => {
      await world.archive.store.remove(object(1, names.volume(2)), signal)
    },
    says: /20261101\S*\/volume-00000002\.tar\.zst\.gpg: vanished/,
  },
  "a volume is cut short": {
    does: async ({ world, object }) => {
      await world.archive.replace(object(2, names.volume(1)), Buffer.from("x"))
    },
    says: /20261102\S*\/volume-00000001\.tar\.zst\.gpg: has 1 bytes, and [0-9]+ were signed/,
  },
  "sums are overwritten": {
    does: async ({ world, object }) => {
      await world.archive.replace(object(1, names.sums(1)), Buffer.from("x"))
    },
    says: /20261101\S*\/SHA256SUMS-0001: is not what this disk remembers/,
  },
  "a signature is deleted": {
    does: async ({ world, object }) => {
      await world.archive.store.remove(object(2, names.signature(1)), signal)
    },
    says: /20261102\S*\/SHA256SUMS-0001\.sig: vanished from the archive/,
  },
  "with the source's key, a run is made anew under its id": {
    does: async ({ world, object }) => {
      rmSync(join(world.path, object(2, "")), { recursive: true })
      await world.archive.commit({ source: "docs", run: run(2), objects: { [names.key]: Buffer.from("junk") } })
    },
    says: /20261102\S*\/SHA256SUMS-0001: is not what this disk remembers/,
  },
  "with the source's key, a chain is begun anew, and back-dated": {
    does: async ({ world, object }) => {
      await world.archive.commit({ source: "docs", run: run(3) })
      utimesSync(join(world.path, object(3, names.signature(1))), 1_000, 1_000)
    },
    says: /20261103\S*\/receipt-0001\.json: names no run before it, .*: the chain does not go on/,
  },
}

for (const [title, { does, says }] of Object.entries(damages))
  test(`${title}: an alarm, and the disk is left as it was and restores by itself`, async () => {
    const it = await attacked()
    await it.world.sync(it.disk)
    await does(it)
    await expectAlarm(it, says)
  })

test("an older policy put back is an alarm", async () => {
  const it = await attacked()
  const kept = place()
  cpSync(it.world.path, kept, { recursive: true })
  await it.world.archive.amend([], setRules({ horizon_days: 30, grace_days: 7, retention_days: 60 }))
  await it.world.sync(it.disk)
  rmSync(join(it.world.path, "config"), { recursive: true })
  cpSync(join(kept, "config"), join(it.world.path, "config"), { recursive: true })
  await assert.rejects(it.world.sync(it.disk), { fault: "alarm", message: /policy-000004\.json: was in force/ })
})

test("junk with valid names, runs without signatures and floods are not copied in place of what counts, and are told", async () => {
  const it = await attacked()
  const { world, disk, object } = it
  const put = (name: string, text: string): void => {
    const path = join(world.path, name)
    cpSync(join(world.path, "archive.json"), path, { recursive: true })
    writeFileSync(path, text)
  }
  put(object(1, "volume-00000777.tar.zst.gpg"), "junk")
  put(`backup/docs/${run(9)}/volume-00000001.tar.zst.gpg`, "junk")
  put(`backup/docs/${run(8)}/SHA256SUMS-0001.sig`, "junk")
  put(`backup/docs/${run(8)}/SHA256SUMS-0001`, "junk")
  put(`backup/docs/${run(8)}/receipt-0001.json`, "junk")
  put("drills/20261124T080000Z-deadbeef.json", "junk")
  put("media/20261124T080000Z-deadbeef.json", "junk")
  put("expiries/000001.json", "junk")
  const done = await world.sync(disk)
  const told = done.problems.map(({ object: name, fault }) => `${fault} ${name}`).sort()
  assert.deepEqual(told, [
    `differs ${object(1, "")}`,
    `tampered backup/docs/${run(8)}/SHA256SUMS-0001`,
    "tampered drills/20261124T080000Z-deadbeef.json",
    "tampered expiries/000001.json",
    "tampered media/20261124T080000Z-deadbeef.json",
  ])
  for (const name of readdirSync(disk, { recursive: true, encoding: "utf8" }))
    assert.doesNotMatch(name, /deadbeef|00000777|20261109|20261108|expiries\/0/)
  await wholeAlone(it)
})

test("what an expiry list names may be gone, and nothing else of the run; receipts stay", async () => {
  const { world, disk, object } = await attacked()
  const trust = await world.archive.load()
  const { runs } = await readRuns(trust, world.archive.store, "docs", signal)
  const [first] = runs
  assert.ok(first !== undefined)
  const remove = async (...bases: readonly string[]): Promise<void> => {
    for (const base of bases) await world.archive.store.remove(object(1, base), signal)
  }
  const gone = { run: run(1), sums: first.sumsDigest, line: "" }
  await putList(world.archive, [goes("docs", gone, { volumes: "1" })])
  await remove(names.key, names.volume(1), names.catalogue(1), names.root(1))
  await world.sync(disk)
  const again = await world.prepare(disk)
  assert.equal(again.examined.judged.size, 0, "it is looked at once")
  const kept = await world.archive.read(object(1, names.volume(2)))
  await remove(names.volume(2))
  await assert.rejects(world.sync(disk), { fault: "alarm", message: /volume-00000002\.tar\.zst\.gpg: vanished/ })
  await world.archive.replace(object(1, names.volume(2)), kept)
  await world.sync(disk)

  const fresh = place()
  await world.init(fresh, { label: "Disk B" })
  const done = await world.sync(fresh)
  assert.deepEqual([done.problems, done.prepared.plan.left], [[], []])
  assert.equal((await world.prepare(fresh)).examined.judged.size, 0)
  const own = directoryStore(fresh)
  assert.equal((await readRuns(await world.archive.load({ reader: own }), own, "docs", signal)).runs.length, 2)
})

test("an expiry that was carried out on the disk too is no damage there", async () => {
  const { world, disk, object } = await attacked()
  const trust = await world.archive.load()
  const [first] = (await readRuns(trust, world.archive.store, "docs", signal)).runs
  await putList(world.archive, [goes("docs", { run: run(1), sums: first?.sumsDigest ?? "", line: "" })])
  const bases = [names.key, names.volume(1), names.volume(2), names.catalogue(1), names.root(1)]
  for (const base of bases) await world.archive.store.remove(object(1, base), signal)
  await world.sync(disk)
  const it = await openDisk(disk, trust.archive.archive, signal)
  const reader = it.store
  const scrubbed = async () =>
    await scrub({
      ...{ disk: it, trust: await world.archive.load({ reader }), memory: await readMemory(it), signal },
      onEvent: () => undefined,
    })
  assert.deepEqual([(await scrubbed()).problems, (await scrubbed()).objects], [[], 10])
  for (const base of bases) rmSync(join(disk, object(1, base)))
  assert.deepEqual([(await scrubbed()).problems, (await scrubbed()).objects], [[], 5])
  await world.sync(disk)
  assert.equal((await readMemory(it)).runs.get(`docs ${run(1)}`)?.holding, "none")
  rmSync(join(disk, object(2, names.volume(1))))
  assert.deepEqual(
    (await scrubbed()).problems.map(({ fault }) => fault),
    ["incomplete"],
  )
})

test("an object of a new run that does not fit its receipt is told, and the run does not pass for whole", async () => {
  const { world, disk, object } = await attacked()
  const before = await readRuns(await world.archive.load(), world.archive.store, "docs", signal)
  const previous = before.heads.map((head) => `${head.run} ${head.sumsDigest}`)
  await world.archive.commit({ source: "docs", run: run(3), previous })
  const volume = object(3, names.volume(1))
  const bytes = await world.archive.read(volume)
  await world.archive.replace(volume, Buffer.alloc(bytes.length))
  const done = await world.sync(disk)
  assert.deepEqual(
    done.problems.map((problem) => problem.object),
    [volume],
  )
  const { media } = await world.prepare(disk)
  const held = [...media.values()].flatMap((medium) => [...medium.runs.values()])
  assert.equal(held.find((each) => each.run === run(3))?.holding, "part")
  await world.archive.replace(volume, bytes)
  const again = await world.sync(disk)
  assert.deepEqual([again.objects, again.problems], [1, []])
})

test("a memory that was cut off by a crash forgets its last line; one that was changed is refused", async () => {
  const { world, disk } = await attacked()
  const file = join(disk, "medium-state")
  appendFileSync(file, "run docs 20261103T08")
  await world.sync(disk)
  assert.match(
    readFileSync(file, "utf8"),
    /^backup-cloud\/1 medium-state [0-9a-f]{32} [0-9a-f]{32}\npolicy [0-9]+ [0-9a-f]{64}\n(run [^\n]+\n){2}$/,
  )
  const good = readFileSync(file, "utf8")
  writeFileSync(file, good.replace("alone", "aloud"))
  await assert.rejects(world.sync(disk), { fault: "tampered", message: /medium-state: line [0-9] is not/ })
  writeFileSync(file, good)
  await world.sync(disk)
})
