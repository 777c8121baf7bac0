import assert from "node:assert/strict"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { names } from "@backup-cloud/format"
import { directoryStore } from "@backup-cloud/store"
import { loadTrust, memoryInMemory, newMemory, verifyArchive } from "@backup-cloud/trust"
import { foldStatements, readStatements } from "../src/index.ts"
import { place } from "./disks.ts"
import { type MediaWorld, mediaWorld, run, signal } from "./world.ts"

/** Every object below `path`, with its content. */
function tree(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(path.length + 1), readFileSync(file, "latin1")]),
  )
}

/** What verifying the disk by itself finds. */
async function problemsOf(world: MediaWorld, path: string) {
  const reader = directoryStore(path)
  const { verifier, admin } = world.archive
  const home = memoryInMemory(newMemory(admin.certificate.fingerprint))
  const trust = await loadTrust({ reader, verifier, admin: admin.certificate.fingerprint, home, signal })
  const options = { trust, reader, quick: false, memory: home, onEvent: () => undefined, signal, width: 4 }
  return (await verifyArchive(options)).problems
}

test("a disk gets everything that restores, and nothing else; nothing new costs nothing", async () => {
  const world = await mediaWorld()
  const first = await world.archive.commit({ source: "docs", run: run(1) })
  const uses = [{ run: run(1), sums: first.sums, volumes: "1", catalogues: "" }]
  await world.archive.commit({ source: "docs", run: run(2), previous: [first.line], uses })
  await world.archive.commit({ source: "mail", run: run(1) })
  const disk = place()
  await world.init(disk)
  const done = await world.sync(disk)
  assert.deepEqual(done.problems, [])
  assert.ok(done.through.size === 1 && !done.through.has("cache"), [...done.through].join())
  assert.deepEqual(await problemsOf(world, disk), [])
  const [here, there] = [tree(disk), tree(world.path)]
  const own = ["medium.json", "medium-state"]
  assert.deepEqual(
    Object.keys(here)
      .filter((name) => !own.includes(name))
      .sort(),
    Object.keys(there).sort(),
  )
  for (const [name, content] of Object.entries(there)) assert.equal(here[name], content, name)

  const { media } = await world.prepare(disk)
  const [medium] = media.values()
  assert.deepEqual(
    [...(medium?.runs.values() ?? [])].map(({ source, run, holding }) => [source, run, holding]),
    [
      ["docs", run(1), "alone"],
      ["docs", run(2), "alone"],
      ["mail", run(1), "alone"],
    ],
  )
  assert.deepEqual(
    medium?.last.heads.map((head) => [head.source, head.run]),
    [
      ["docs", run(2)],
      ["mail", run(1)],
    ],
  )
  const again = await world.sync(disk)
  assert.deepEqual([again.objects, again.problems, again.prepared.examined.judged.size], [0, [], 0])
  assert.deepEqual(again.prepared.plan.steps, [])
})

test("a run whose next receipt came later is brought up to date", async () => {
  const world = await mediaWorld()
  await world.archive.commit({ source: "docs", run: run(1), outcome: "checkpoint" })
  const disk = place()
  await world.init(disk)
  await world.sync(disk)
  await world.archive.commit({
    source: "docs",
    run: run(1),
    number: 2,
    objects: { [names.volume(3)]: Buffer.from("3") },
  })
  const done = await world.sync(disk)
  assert.equal(done.objects, 4)
  assert.deepEqual(await problemsOf(world, disk), [])
})

test("a disk of another archive, with other data, or one that is prepared already is refused and left alone", async () => {
  const world = await mediaWorld()
  const other = await mediaWorld()
  const disk = place()
  await world.init(disk)
  const before = tree(disk)
  await assert.rejects(world.init(disk), { fault: "conflict", message: /is "Disk A" of the archive/ })
  assert.deepEqual(tree(disk), before)
  const full = place()
  mkdirSync(join(full, "lost+found"))
  writeFileSync(join(full, "letter.txt"), "x")
  await assert.rejects(world.init(full), { fault: "refused", message: /holds other data \(letter\.txt\)/ })
  assert.deepEqual(Object.keys(tree(full)), ["letter.txt"])
  await assert.rejects(world.init(other.path), { fault: "refused", message: /holds other data/ })
  await assert.rejects(world.sync(full), { fault: "not-found", message: /is no medium/ })
  const empty = place()
  mkdirSync(join(empty, "lost+found"))
  await world.init(empty)
})

test("codes stand for places and persons: statements tell neither, and the same place has one code", async () => {
  const world = await mediaWorld()
  const disk = place()
  const made = await world.init(disk, { location: "bank vault", custodian: "Carla" })
  const text = Object.entries(tree(join(world.path, "media"))).map(([, content]) => content)
  assert.equal(text.length, 2)
  assert.ok(text.some((each) => each.includes(made.identity.location_code)))
  for (const each of text) assert.doesNotMatch(each, /bank|vault|Carla|Disk A/)
})

test("a statement counts only if an operator signed it", async () => {
  const world = await mediaWorld()
  const disk = place()
  await world.init(disk)
  const trust = await world.archive.load()
  const good = await readStatements(trust, [world.archive.store], signal)
  assert.equal(good.all.size, 1)
  assert.deepEqual(good.problems, [])
  const [name = ""] = good.all.keys()
  const bytes = await world.archive.read(name)
  const forged = names.medium("20261124T090000Z-deadbeef")
  const store = world.archive.store
  const put = async (object: string, body: Uint8Array) => {
    const { createHash } = await import("node:crypto")
    await store.create(object, [body], createHash("sha256").update(body).digest("hex"), signal)
  }
  await put(forged, bytes)
  await put(`${forged}.sig`, await world.archive.admin.signer.detached(bytes, signal))
  const found = await readStatements(trust, [store], signal)
  assert.equal(found.all.size, 1)
  assert.deepEqual(
    found.problems.map(({ object }) => object),
    [`${forged}.sig`.slice(0, -4)],
  )
  assert.equal(foldStatements(found).size, 1)
})
