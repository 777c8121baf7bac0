// The four functions, on an archive and keys that the command made: what they give back, and that nothing which is not
// whole looks as if it were.

import assert from "node:assert/strict"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { World } from "../../cli/test/world.ts"
import { dirTarget, globs } from "../../source-dir/src/index.ts"
import { noise } from "../../store/test/helpers.ts"
import {
  backup,
  drill,
  EntryError,
  isFault,
  NotWholeError,
  restore,
  type Source,
  type SourceEntry,
  verify,
} from "../src/index.ts"

const world = new World()
const machine = { archive: world.archive, home: world.file("machine/backup-cloud") }
const operator = {
  ...{ archive: world.archive, home: world.file("oscar/backup-cloud") },
  env: { GNUPGHOME: world.file("oscar") },
}
const content = new Map<string, Uint8Array>([
  ["a", Buffer.from("one\n")],
  ["b", noise(3_000_000)],
])
/** Names of what cannot be had for now. */
const lost = new Set<string>()
const opened: string[] = []

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

const about = { mode: 0o600, uid: 0, gid: 0, mtime: "1700000000.000000000", link: null, attributes: new Map() }
const source: Source = {
  kind: "memory",
  identity: ["version"],
  async *entries() {
    yield [{ ...about, type: "d", path: ".", mode: 0o700, size: 0, content: null }]
    yield [...content].map(
      ([path, bytes]): SourceEntry => ({
        ...{ ...about, type: "f", path, size: bytes.length },
        attributes: new Map([["version", String(bytes.length)]]),
        content: {
          kind: "stream",
          async open() {
            opened.push(path)
            if (lost.has(path)) throw new EntryError("ENOENT")
            return { attributes: new Map(), bytes: pieces(bytes) }
          },
        },
      }),
    )
  },
}

before(() => {
  mkdirSync(world.file("data"))
  world.start(world.file("data"))
  world.machine("machine", "notes", world.file("data"))
})
after(() => {
  world.end()
})

/** The folder's files by name. */
const filesIn = (folder: string): [string, Buffer][] =>
  readdirSync(folder)
    .sort()
    .map((name) => [name, readFileSync(join(folder, name))])

async function notWhole<R>(work: Promise<R>, fault: "incomplete" | "tampered"): Promise<R> {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof NotWholeError && isFault(error, fault), String(error))
    return error.result as R
  }
  throw new Error("it was whole")
}

test("what a program backs up comes back, and the command knows of it", async () => {
  const events: string[] = []
  const first = await backup({ ...machine, name: "notes", source, onEvent: ({ event }) => events.push(event) })
  assert.deepEqual([first.outcome, first.entries], ["complete", 3])
  assert.ok(events.includes("committed"))
  opened.length = 0
  content.set("c", Buffer.from("three"))
  const second = await backup({ ...machine, name: "notes", source })
  assert.deepEqual(opened, ["c"])
  assert.deepEqual(world.runs("notes"), [first.run, second.run])
  const report = await verify(machine)
  assert.deepEqual([report.runs, report.problems], [2, []])
  const root = world.file("restored")
  const releases = [world.release("notes@latest", "all")]
  const result = await restore({
    ...operator,
    run: "notes@latest",
    releases,
    target: dirTarget({ root }),
    verify: true,
  })
  assert.deepEqual([result.files, result.lost, result.problems], [3, [], []])
  assert.deepEqual(
    filesIn(root),
    [...content].map(([name, bytes]) => [name, Buffer.from(bytes)]),
  )
})

test("without the release nothing is restored; with it, only what is wanted", async () => {
  const root = world.file("some")
  const other = world.release(`notes@${world.runs("notes")[0] ?? ""}`, "of another run")
  const call = { ...operator, run: "notes@latest", target: dirTarget({ root }), wanted: globs(["c"], []) }
  for (const releases of [[], [other]])
    await assert.rejects(restore({ ...call, releases }), (error) => isFault(error, "refused"))
  assert.ok(!existsSync(root))
  const releases = [world.release("notes@latest", "of this run")]
  assert.equal((await restore({ ...call, releases })).files, 1)
  assert.deepEqual(filesIn(root), [["c", Buffer.from("three")]])
  const nothing = restore({ ...call, releases, wanted: globs(["d"], []) })
  await assert.rejects(nothing, (error) => isFault(error, "not-found"))
})

test("a run that lacks something is an error, and kept", async () => {
  content.set("d", Buffer.from("gone soon"))
  lost.add("d")
  const result = await notWhole(backup({ ...machine, name: "notes", source }), "incomplete")
  assert.deepEqual([result.outcome, [...result.errors]], ["partial", [["ENOENT", 1]]])
  assert.equal(world.runs("notes").at(-1), result.run)
  const releases = [world.release("notes@latest", "of the partial")]
  const target = dirTarget({ root: world.file("partial") })
  const back = await notWhole(restore({ ...operator, run: "notes@latest", releases, target }), "incomplete")
  assert.deepEqual([back.files, back.run, back.outcome, back.lacks], [3, result.run, "partial", ["ENOENT 1"]])
  assert.deepEqual(
    back.problems.map(({ path }) => path),
    ["d"],
  )
  lost.clear()
  assert.equal((await backup({ ...machine, name: "notes", source })).outcome, "complete")
})

test("told to stop, or to abort, a backup is no whole run", async () => {
  content.set("e", noise(2_000_000))
  const count = world.runs("notes").length
  const stopped = backup({ ...machine, name: "notes", source, stop: AbortSignal.abort() })
  await assert.rejects(stopped, (error) => isFault(error, "incomplete"))
  await assert.rejects(backup({ ...machine, name: "notes", source, signal: AbortSignal.abort() }))
  assert.equal(world.runs("notes").length, count)
  assert.equal((await backup({ ...machine, name: "notes", source })).outcome, "complete")
})

test("a damaged archive is no verified one, and what is lost of a restore is told", async () => {
  const [run = ""] = world.runs("notes")
  const restored = world.keep()
  const volume = join(world.archive, "backup/notes", run, "volume-00000001.tar.zst.gpg")
  const bytes = readFileSync(volume)
  bytes[1000] = (bytes[1000] ?? 0) ^ 1
  writeFileSync(volume, bytes)
  const report = await notWhole(verify(machine), "tampered")
  assert.deepEqual(report.problems.length, 1)
  const call = { ...operator, run: `notes@${run}`, releases: [world.release(`notes@${run}`, "of the damaged")] }
  const whole = restore({ ...call, target: dirTarget({ root: world.file("not whole") }) })
  await assert.rejects(whole, (error) => isFault(error, "tampered"))
  const target = dirTarget({ root: world.file("salvaged") })
  const result = await notWhole(restore({ ...call, target, salvage: true }), "incomplete")
  assert.deepEqual(result.lost.toSorted(), ["a", "b"])
  restored()
  assert.deepEqual((await verify(machine)).problems, [])
})

test("a drill gives its result back, also of a partial run; of a damaged archive it is an error", async () => {
  const scratch = world.file("scratch")
  mkdirSync(scratch)
  const call = { ...operator, scratch, target: (root: string) => dirTarget({ root }) }
  const [, , partial = ""] = world.runs("notes")
  const seen: string[] = []
  const result = await drill({
    ...{ ...call, run: `notes@${partial}`, releases: [world.file("of the partial")] },
    onEvent: ({ event }) => seen.push(event),
    check: async (root) => existsSync(join(root, "a")),
  })
  assert.deepEqual([result.outcome, result.run, result.differences], ["passed", partial, 0])
  assert.ok(seen.includes("step"))
  assert.deepEqual(world.objects("drills/").length, 2)
  const none = drill({ ...call, run: "notes", releases: "verifier" })
  await assert.rejects(none, (error) => isFault(error, "usage"))
  const [run = ""] = world.runs("notes")
  const kept = world.keep()
  writeFileSync(join(world.archive, "backup/notes", run, "volume-00000001.tar.zst.gpg"), "PAY UP\n")
  const failed = await notWhole(
    drill({ ...call, run: `notes@${run}`, releases: [world.file("of the damaged")] }),
    "tampered",
  )
  assert.deepEqual([failed.outcome, failed.reason], ["failed", "the restore ended as tampered"])
  assert.deepEqual(readdirSync(scratch), [])
  kept()
})

test("a home without the source's keys, or that trusts nobody, backs up nothing", async () => {
  const count = world.runs("notes").length
  const without = { ...machine, home: operator.home }
  await assert.rejects(backup({ ...without, name: "notes", source }), (error) => isFault(error, "not-found"))
  const nobody = { ...machine, home: world.file("nobody") }
  await assert.rejects(backup({ ...nobody, name: "notes", source }), (error) => isFault(error, "refused"))
  await assert.rejects(verify(nobody), (error) => isFault(error, "refused"))
  assert.equal(world.runs("notes").length, count)
  await backup({ ...machine, name: "notes", source })
  assert.equal(world.runs("notes").length, count + 1)
})

test("what was erased is left out and counted, and comes back only by a release that says so", async () => {
  const run = world.runs("notes")[1] ?? ""
  world.ok("admin", "erase", "add", "notes", "--path", "/c", "--reason", "asked", "--yes")
  const releases = [world.release(`notes@${run}`, "honest")]
  const call = { ...operator, run: `notes@${run}`, releases }
  const result = await restore({ ...call, target: dirTarget({ root: world.file("without c") }) })
  assert.deepEqual(result.leftOut, { entries: 1, files: 1, bytes: 5 })
  assert.ok(!filesIn(world.file("without c")).some(([name]) => name === "c"))
  const nothing = restore({ ...call, target: dirTarget({ root: world.file("no c") }), wanted: globs(["c"], []) })
  await assert.rejects(
    nothing,
    (error) => isFault(error, "not-found") && /erasures leave 1 entries out/.test(String(error)),
  )
  const all = { ...call, target: dirTarget({ root: world.file("with c") }), withoutErasures: true }
  await assert.rejects(restore(all), (error) => isFault(error, "refused"))
  world.ok("oscar", "request", `notes@${run}`, "--without-erasures", "--reason", "x", "--out", world.file("ask"))
  const out = ["--out", world.file("yes"), "--yes"]
  world.ok("alice", "keyholder", "approve", world.file("ask"), "--without-erasures", ...out)
  const back = await restore({ ...all, releases: [world.file("yes")] })
  assert.deepEqual(back.leftOut, { entries: 0, files: 0, bytes: 0 })
  assert.deepEqual(
    filesIn(world.file("with c")).find(([name]) => name === "c"),
    ["c", Buffer.from("three")],
  )
})
