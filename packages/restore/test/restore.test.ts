import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { names } from "@backup-cloud/format"
import { openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import * as fc from "fast-check"
import { type DirTargetOptions, dirTarget } from "../../source-dir/src/target.ts"
import {
  catalogueEntries,
  Erasing,
  openRoot,
  planRestore,
  type RestoreEvent,
  type RestoreOptions,
  type RestoreResult,
  restore,
  type Secrets,
  salvagedEntries,
  type Wanted,
} from "../src/index.ts"
import { type MadeRun, makeWorld, sha256, signal, type TestEntry, top, type World } from "./make-run.ts"

const RUN_A = "20261120T100000Z-0000000a"
const RUN_B = "20261121T100000Z-0000000b"

interface Scene {
  readonly world: World
  readonly to: string
  readonly folder: string
}

type Context = { after(fn: () => void | Promise<void>): void }

async function scene(t: Context, gpg = false): Promise<Scene> {
  const folder = fs.mkdtempSync(join(tmpdir(), "restore-"))
  t.after(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  if (!gpg) return { world: await makeWorld(join(folder, "archive")), to: join(folder, "to"), folder }
  const home = await openGpgHome()
  t.after(async () => {
    await home[Symbol.asyncDispose]()
  })
  return { world: await makeWorld(join(folder, "archive"), gpgPassphraseOpener(home)), to: join(folder, "to"), folder }
}

interface Asked extends Partial<RestoreOptions> {
  readonly wanted?: Wanted
  readonly options?: Partial<DirTargetOptions>
  readonly events?: RestoreEvent[]
}

async function restored(
  { world, to }: Scene,
  run: MadeRun,
  secrets: Secrets,
  asked: Asked = {},
): Promise<RestoreResult> {
  const view = await world.view(run.run, secrets, asked.salvage ?? false)
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), asked.wanted ?? null)
  return await restore({
    view,
    plan,
    target: asked.target ?? dirTarget({ root: to, owner: true, ...asked.options }),
    what: `docs/${run.run}`,
    salvage: asked.salvage ?? false,
    verify: asked.verify ?? false,
    onEvent: (event) => asked.events?.push(event),
    signal,
  })
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const file = (path: string, content: Uint8Array, more: Partial<TestEntry> = {}): TestEntry => ({
  type: "f",
  path,
  content,
  ...more,
})
const folder = (path: string): TestEntry => ({ type: "d", path })

/** Every regular file below `root` with its content. */
function contents(root: string): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  if (!fs.existsSync(root)) return found
  for (const name of fs.readdirSync(root, { recursive: true, encoding: "utf8" }))
    if (!name.startsWith(".backup-cloud-restore-") && fs.lstatSync(join(root, name)).isFile())
      found.set(name, fs.readFileSync(join(root, name)))
  return found
}

const big = Buffer.alloc(10_500, "a long file that is cut into eleven chunks; ")
const tree: readonly TestEntry[] = [
  top,
  file("a", bytes("first")),
  folder("d"),
  file("d/big", big),
  file("d/empty", bytes("")),
  folder("d/none"),
  { type: "h", path: "d/twin", link: "a" },
  { type: "l", path: "link", link: "d/big" },
  { type: "p", path: "pipe" },
  file("z", randomBytes(3_100)),
]

test("a run comes back whole through gpg, across volumes and from earlier runs", async (t) => {
  const s = await scene(t, true)
  const a = await s.world.make({ run: RUN_A, entries: tree })
  const changed = [
    ...tree.filter((e) => e.path !== "a"),
    file("a", bytes("changed")),
    file("moved", big.subarray(0, 2_000)),
  ]
  const b = await s.world.make({ run: RUN_B, entries: changed, uses: [a] })
  const events: RestoreEvent[] = []
  const result = await restored(s, b, s.world.secrets(a, b), { verify: true, events })
  assert.equal(result.files, 5)
  assert.deepEqual(result.lost, [])
  assert.deepEqual(result.problems, [])
  assert.deepEqual(contents(s.to).get("d/big"), big)
  assert.deepEqual(contents(s.to).get("moved"), big.subarray(0, 2_000))
  assert.equal(contents(s.to).get("d/twin")?.toString(), "changed")
  assert.equal(fs.readlinkSync(join(s.to, "link")), "d/big")
  assert.ok(fs.lstatSync(join(s.to, "pipe")).isFIFO())
  assert.ok(fs.statSync(join(s.to, "d/none")).isDirectory())
  assert.equal(fs.lstatSync(join(s.to, "z"), { bigint: true }).mtimeNs, 1700000000123456789n)
  const last = events.findLast((e) => e.type === "progress")
  assert.deepEqual(last, { type: "progress", files: 5, bytes: result.bytes, volumes: 5 })
})

test("any tree of files, cut in any way, comes back", async (t) => {
  const s = await scene(t)
  let count = 0
  const content = fc.uint8Array({ maxLength: 300 })
  const arbitrary = fc.record({
    files: fc.array(content, { minLength: 1, maxLength: 8 }),
    more: fc.array(content, { maxLength: 4 }),
    chunk: fc.integer({ min: 1, max: 120 }),
    perVolume: fc.integer({ min: 1, max: 60 }),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ files, more, chunk, perVolume }) => {
      const id = (0x1000 + count++).toString(16).padStart(8, "0")
      const entries = files.map((c, i) => file(`f${i}`, c))
      const a = await s.world.make({ run: `20261122T100000Z-${id}`, entries: [top, ...entries], chunk, perVolume })
      const later = [top, ...entries, ...more.map((c, i) => file(`m${i}`, c))]
      const b = await s.world.make({ run: `20261123T100000Z-${id}`, entries: later, uses: [a], chunk, perVolume })
      const to = `${s.to}-${count}`
      await restored({ ...s, to }, b, s.world.secrets(a, b))
      const found = contents(to)
      assert.equal(found.size, later.length - 1)
      for (const e of later) if (e.content !== undefined) assert.deepEqual(found.get(e.path), Buffer.from(e.content))
    }),
    { numRuns: 12 },
  )
})

test("an object that was flipped, cut or removed: its fault, and no byte of it; the same restore once it is back", async (t) => {
  const s = await scene(t)
  const a = await s.world.make({ run: RUN_A, entries: tree })
  for (const how of ["flip", "cut", "remove"] as const) {
    for (const base of [names.root(1), names.catalogue(1), names.volume(2)]) {
      const name = `backup/docs/${RUN_A}/${base}`
      const before = await s.world.read(name)
      await s.world.damage(a, base, how)
      const to = join(s.folder, `${how}-${base}`)
      await assert.rejects(restored({ ...s, to }, a, s.world.secrets(a)), (error: Error & { fault?: string }) => {
        assert.equal(error.fault, how === "remove" ? "incomplete" : "tampered")
        assert.match(error.message, new RegExp(base.replaceAll(".", "\\.")))
        return true
      })
      const written = contents(to)
      assert.equal(written.has("d/big"), false, "its chunks lie in the damaged volume")
      if (base !== names.volume(2)) assert.equal(fs.existsSync(to), false)
      if (how === "remove") await s.world.store.create(name, [before], sha256(before), signal)
      else await s.world.replace(name, before)
      await restored({ ...s, to }, a, s.world.secrets(a))
      assert.deepEqual(contents(to).get("d/big"), big)
    }
  }
})

test("salvage brings back every intact file and lists the rest", async (t) => {
  const s = await scene(t)
  const entries = [...tree, { type: "h", path: "zz", link: "d/big" } as const]
  const a = await s.world.make({ run: RUN_A, entries })
  await s.world.damage(a, names.volume(2), "flip")
  await s.world.damage(a, names.volume(3), "remove")
  const events: RestoreEvent[] = []
  const result = await restored(s, a, s.world.secrets(a), { salvage: true, events })
  assert.deepEqual(result.lost.toSorted(), ["d/big", "zz"])
  assert.deepEqual([...contents(s.to).keys()].toSorted(), ["a", "d/empty", "d/twin", "z"])
  assert.equal(events.filter((e) => e.type === "lost").length, 2)
})

test("an interrupted restore is gone on with", async (t) => {
  const s = await scene(t)
  const a = await s.world.make({ run: RUN_A, entries: tree, perVolume: 2 })
  const target = dirTarget({ root: s.to, owner: true })
  const cut = {
    ...wrap(target),
    commit: async (...args: Parameters<typeof target.commit>) => {
      if (args[0].path === "d/big") throw new Error("interrupted here")
      await target.commit(...args)
    },
  }
  await assert.rejects(restored(s, a, s.world.secrets(a), { target: cut }), /interrupted here/)
  assert.equal(contents(s.to).has("a"), true)
  assert.equal(contents(s.to).has("d/big"), false)
  const inode = fs.statSync(join(s.to, "a")).ino
  const result = await restored(s, a, s.world.secrets(a))
  assert.ok(result.resumed >= 1)
  assert.equal(fs.statSync(join(s.to, "a")).ino, inode)
  assert.deepEqual(contents(s.to).get("d/big"), big)
  assert.deepEqual(fs.readdirSync(s.to).toSorted(), ["a", "d", "link", "pipe", "z"])
})

function wrap(target: ReturnType<typeof dirTarget>): ReturnType<typeof dirTarget> {
  return {
    begin: (...a) => target.begin(...a),
    has: (...a) => target.has(...a),
    write: (...a) => target.write(...a),
    read: (...a) => target.read(...a),
    commit: (...a) => target.commit(...a),
    discard: (...a) => target.discard(...a),
    make: (...a) => target.make(...a),
    erase: (...a) => target.erase(...a),
    finish: (...a) => target.finish(...a),
  }
}

test("--verify reads every file again", async (t) => {
  const s = await scene(t)
  const a = await s.world.make({ run: RUN_A, entries: tree })
  for (const verify of [false, true]) {
    const to = `${s.to}-${verify}`
    const target = dirTarget({ root: to, owner: true })
    const bad = {
      ...wrap(target),
      commit: async (...args: Parameters<typeof target.commit>) => {
        await target.commit(...args)
        if (args[0].path === "d/big") fs.writeFileSync(join(to, "d/big"), "rotten")
      },
    }
    const running = restored({ ...s, to }, a, s.world.secrets(a), { target: bad, verify })
    if (verify) await assert.rejects(running, { fault: "differs" })
    else await running
  }
})

test("chosen paths come with the directories that hold them, and a link whose file was not chosen becomes the file", async (t) => {
  const s = await scene(t)
  const a = await s.world.make({ run: RUN_A, entries: [...tree, { type: "h", path: "zz", link: "a" } as const] })
  const wanted: Wanted = {
    judge: (path, directory) => (["d/twin", "zz", "d/none"].includes(path) ? "take" : directory ? "look" : "leave"),
  }
  await restored(s, a, s.world.secrets(a), { wanted })
  assert.deepEqual(fs.readdirSync(s.to, { recursive: true, encoding: "utf8" }).toSorted(), [
    "d",
    "d/none",
    "d/twin",
    "zz",
  ])
  assert.equal(contents(s.to).get("zz")?.toString(), "first")
  assert.equal(fs.statSync(join(s.to, "zz")).ino, fs.statSync(join(s.to, "d/twin")).ino)
})

test("a release opens its run for its operator until its time, and nothing else", async (t) => {
  const s = await scene(t)
  const { world } = s
  const a = await world.make({ run: RUN_A, entries: tree })
  const b = await world.make({ run: RUN_B, entries: [top, file("b", bytes("of b"))], uses: [] })
  const good = await world.open(a, await world.release(a))
  await restored(s, a, good, {})
  assert.deepEqual(contents(s.to).get("d/big"), big)

  await assert.rejects(world.open(b, await world.release(a)), { fault: "refused" })
  await assert.rejects(restored({ ...s, to: `${s.to}-b` }, b, good), { fault: "refused" })
  assert.equal(fs.existsSync(`${s.to}-b`), false)
  await restored({ ...s, to: `${s.to}-b` }, b, await world.open(b, await world.release(b)))

  await assert.rejects(world.open(a, await world.release(a, { expires: "2026-11-24T12:00:00Z" })), { fault: "expired" })
  await assert.rejects(world.open(a, await world.release(a, { archive: "f".repeat(32) })), { fault: "refused" })
  await assert.rejects(world.open(a, await world.release(a, { operator: "A".repeat(40) })), { fault: "refused" })
  await assert.rejects(world.open(a, await world.release(a, {}, 0, 1)), { fault: "refused" }, "sealed to somebody else")
  await assert.rejects(world.open(a, await world.release(a, {}, 9)), { fault: "refused" }, "signed by no holder")
  const other = world.holders[1]?.certificate.fingerprint ?? ""
  await assert.rejects(world.open(a, await world.release(a, { holder: other })), { fault: "refused" })
  await assert.rejects(world.open(a, await world.release(a, { secrets: [`${RUN_A} key.gpg ${b.key}`] })), {
    fault: "refused",
  })
  const both = [`${RUN_A} key.gpg ${a.key}`, `${RUN_B} key.gpg ${b.key}`]
  await assert.rejects(world.open(a, await world.release(a, { secrets: both })), { fault: "refused" })
  assert.equal(
    (await world.open(a, await world.release(a, {}, 1))).passphraseFor(RUN_A, "root-0001.gpg"),
    good.passphraseFor(RUN_A, "root-0001.gpg"),
  )
})

test("a release of single objects opens exactly those, and nothing is written without all that are needed", async (t) => {
  const s = await scene(t)
  const { world } = s
  const a = await world.make({ run: RUN_A, entries: tree })
  const all = world.secrets(a)
  const catalogues = [...(await world.view(RUN_A, all)).run.objects.keys()].filter((base) =>
    base.startsWith("catalogue"),
  )
  const some = [names.root(1), ...catalogues, names.volume(1)]
  const lines = some.map((base) => `${RUN_A} ${base} ${all.passphraseFor(RUN_A, base) ?? ""}`).toSorted()
  const secrets = await world.open(a, await world.release(a, { kind: "volumes", secrets: lines }))
  assert.equal(secrets.passphraseFor(RUN_A, names.volume(2)), null)
  await assert.rejects(restored(s, a, secrets), { fault: "refused" })
  assert.equal(fs.existsSync(s.to), false)
  const wanted: Wanted = { judge: (path) => (path === "a" ? "take" : "leave") }
  await restored(s, a, secrets, { wanted })
  assert.deepEqual([...contents(s.to).keys()], ["a"])
})

test("what must not come back is neither fetched nor written, whole or salvaged, and a copy of it is", async (t) => {
  const s = await scene(t)
  const entries = [top, file("copy", bytes("shared")), file("gone", bytes("shared")), file("secret", bytes("alone"))]
  const a = await s.world.make({ run: RUN_A, entries, perVolume: 1 })
  const record = { ...{ number: 1, archive: "", created: "", previous: "", source: "docs", until: "", reason: "" } }
  const rest = { paths: ["/gone"], files: ["secret"], sql: "", database: "", ticket: "", replaces: [] }
  const erasing = new Erasing([{ format: "backup-cloud/1", type: "erasure", ...record, ...rest }])
  for (const salvage of [false, true]) {
    const opened = new Set<string>()
    const secrets = s.world.secrets(a)
    const watched: Secrets = {
      passphraseFor(run, base) {
        opened.add(base)
        return secrets.passphraseFor(run, base)
      },
    }
    const view = { ...(await s.world.view(a.run, watched, salvage)), erasing }
    const root = await openRoot(view, signal)
    const hole = (): undefined => undefined
    const read = () => (salvage ? salvagedEntries(view, root, hole, signal) : catalogueEntries(view, root, signal))
    const plan = await planRestore(read, null)
    const to = `${s.to}-${salvage}`
    await restore({ view, plan, target: dirTarget({ root: to }), what: "x", salvage, onEvent: () => undefined, signal })
    assert.deepEqual([...contents(to)], [["copy", Buffer.from("shared")]])
    assert.deepEqual(
      [...opened].filter((base) => base.startsWith("volume-")),
      [names.volume(1)],
    )
    assert.deepEqual(erasing.leftOut, { entries: 2, files: 2, bytes: 11 })
  }
})

test("SQL that a target cannot run keeps it from being written to", async (t) => {
  const s = await scene(t)
  const a = await s.world.make({ run: RUN_A, entries: [top, file("dump", bytes("x"))] })
  const erasing = new Erasing([
    {
      ...{
        format: "backup-cloud/1",
        type: "erasure",
        number: 3,
        archive: "",
        created: "",
        previous: "",
        source: "docs",
      },
      ...{ until: "", paths: [], files: [], sql: "eA==", database: "shop", reason: "", ticket: "", replaces: [] },
    },
  ])
  const view = { ...(await s.world.view(a.run, s.world.secrets(a))), erasing }
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  const able = wrap(dirTarget({ root: s.to }))
  const unable = { ...able, erase: undefined }
  const given = { view, plan, what: "x", onEvent: () => undefined, signal }
  await assert.rejects(restore({ ...given, target: unable }), { fault: "refused", message: /erasure 3 is SQL/ })
  assert.ok(!fs.existsSync(s.to))
  const { erased } = await restore({ ...given, target: able })
  assert.deepEqual(erased, [{ number: 3, database: "shop", how: "written" }])
})
