import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { CatalogueEntry, EntryType, Target } from "@backup-cloud/format"
import { type DirTargetOptions, dirTarget } from "../src/target.ts"
import { nanotime, setTimes, touchTimes } from "../src/target-batch.ts"

const signal = new AbortController().signal

function entry(
  type: EntryType,
  path: string,
  more: Partial<CatalogueEntry> & { content?: Uint8Array } = {},
): CatalogueEntry {
  const { content = new Uint8Array(0), ...fields } = more
  return {
    type,
    mode: type === "d" ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    mtime: "1700000000.123456789",
    size: type === "f" ? content.length : 0,
    sha256: type === "f" ? createHash("sha256").update(content).digest("hex") : null,
    path,
    link: null,
    attributes: new Map(),
    chunks: [],
    ...fields,
  }
}

async function put(
  target: Target,
  path: string,
  content: Uint8Array,
  more: Partial<CatalogueEntry> = {},
): Promise<void> {
  const file = entry("f", path, { content, ...more })
  if (await target.has(file, signal)) return
  await target.write(file, 0, content, signal)
  await target.commit(file, signal)
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

function place(t: { after(fn: () => void): void }): string {
  const folder = fs.mkdtempSync(join(tmpdir(), "target-"))
  t.after(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  return join(folder, "to")
}

async function started(root: string, options: Partial<DirTargetOptions> = {}): Promise<Target> {
  const target = dirTarget({ root, ...options })
  await target.begin("docs/run", signal)
  await target.make(entry("d", "."), signal)
  return target
}

const nanos = (file: string | Buffer): bigint => fs.lstatSync(file, { bigint: true }).mtimeNs

test("files, directories and links come back with content, mode and times to the nanosecond", async (t) => {
  const root = place(t)
  const target = await started(root)
  await target.make(entry("d", "deep", { mode: 0o555, mtime: "1600000000.000000001" }), signal)
  await put(target, "deep/file", bytes("content"), { mode: 0o400 })
  await put(target, "empty", bytes(""), { mtime: "0.000000000" })
  await put(target, "old", bytes("x"), { mtime: "-1.500000000" })
  await target.make(entry("l", "link", { link: "deep/../../nowhere" }), signal)
  await target.make(entry("h", "other", { link: "deep/file" }), signal)
  assert.deepEqual(await target.finish(signal), [])

  assert.equal(fs.readFileSync(join(root, "deep/file"), "utf8"), "content")
  assert.equal(fs.statSync(join(root, "deep/file")).mode & 0o7777, 0o400)
  assert.equal(fs.statSync(join(root, "deep/file")).ino, fs.statSync(join(root, "other")).ino)
  assert.equal(fs.statSync(join(root, "deep")).mode & 0o7777, 0o555)
  assert.equal(fs.readlinkSync(join(root, "link")), "deep/../../nowhere")
  for (const name of ["deep/file", "link", "."]) assert.equal(nanos(join(root, name)), 1700000000123456789n, name)
  assert.equal(nanos(join(root, "deep")), 1600000000000000001n)
  assert.equal(nanos(join(root, "empty")), 0n)
  assert.equal(nanos(join(root, "old")), -500000000n)
  assert.deepEqual(fs.readdirSync(root).toSorted(), ["deep", "empty", "link", "old", "other"])
})

test("names of any bytes", async (t) => {
  const root = place(t)
  const target = await started(root)
  const odd = ["new\nline", "tab\t", "\xff\xfe", "'quote'", "-dash", " space ", "x".repeat(255), "\x01", "$(touch x)"]
  for (const path of odd) await put(target, path, bytes(path))
  await target.make(entry("p", "fifo '\xff\n", { mode: 0o640 }), signal)
  await target.make(entry("l", "l\xff", { link: "\xfe\n" }), signal)
  assert.deepEqual(await target.finish(signal), [])
  const wanted = [...odd, "fifo '\xff\n", "l\xff"].toSorted()
  assert.deepEqual(fs.readdirSync(root, "latin1").toSorted(), wanted)
  for (const name of wanted) assert.equal(nanos(Buffer.from(`${root}/${name}`, "latin1")), 1700000000123456789n)
  const fifo = fs.lstatSync(Buffer.from(`${root}/fifo '\xff\n`, "latin1"))
  assert.ok(fifo.isFIFO())
  assert.equal(fifo.mode & 0o7777, 0o640)
})

test("both ways of setting times are exact, of negative ones too, and name what failed", async (t) => {
  const root = place(t)
  fs.mkdirSync(root)
  const file = join(root, "it's")
  fs.writeFileSync(file, "")
  const times = ["1700000000.123456789", "-1.500000000", "-2.000000000", "5.000000001"]
  for (const mtime of times) {
    const time = nanotime(mtime)
    for (const set of [touchTimes, setTimes]) {
      const items = [
        { path: join(root, "none"), time },
        { path: file, time },
      ]
      assert.deepEqual(await set(items, signal), new Set([0]))
      assert.equal(nanos(file), BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds))
      fs.utimesSync(file, 1, 1)
    }
  }
})

test("content in pieces out of order, read back before it gets its name", async (t) => {
  const root = place(t)
  const target = await started(root)
  const content = bytes("0123456789")
  const file = entry("f", "file", { content })
  await target.write(file, 5, content.subarray(5), signal)
  assert.deepEqual(
    fs.readdirSync(root).filter((n) => !n.startsWith(".backup-cloud-restore-")),
    [],
  )
  await target.write(file, 0, content.subarray(0, 5), signal)
  const pieces: Uint8Array[] = []
  for await (const piece of target.read(file, signal)) pieces.push(piece)
  assert.equal(Buffer.concat(pieces).toString(), "0123456789")
  await target.commit(file, signal)
  const dropped = entry("f", "dropped", { content })
  await target.write(dropped, 0, content, signal)
  await target.discard(dropped)
  await target.finish(signal)
  assert.deepEqual(fs.readdirSync(root), ["file"])
})

test("many files in the making at once keep few open", async (t) => {
  const root = place(t)
  const target = await started(root)
  const files = Array.from({ length: 200 }, (_, i) => entry("f", `file-${i}`, { content: bytes(`${i}, and ${i}`) }))
  for (const [i, file] of files.entries()) await target.write(file, 0, bytes(`${i}, `), signal)
  const open = fs.readdirSync("/proc/self/fd").length
  assert.ok(open < 120, `${open} files are open`)
  for (const [i, file] of files.entries()) await target.write(file, `${i}, `.length, bytes(`and ${i}`), signal)
  for (const file of files) await target.commit(file, signal)
  await target.finish(signal)
  assert.equal(fs.readFileSync(join(root, "file-123"), "utf8"), "123, and 123")
})

test("a sparse file has its holes again", async (t) => {
  const root = place(t)
  const target = await started(root)
  const content = Buffer.alloc(3 * 1_048_576 + 5)
  content.write("here", 1_048_576 + 17)
  await put(target, "sparse", content, { attributes: new Map([["sparse", "1"]]) })
  await put(target, "full", content)
  await target.finish(signal)
  assert.ok(fs.readFileSync(join(root, "sparse")).equals(content))
  assert.ok(fs.statSync(join(root, "sparse")).blocks <= 16)
  assert.ok(fs.statSync(join(root, "full")).blocks >= 6144)
})

test("nothing is written outside: names that climb, absolute names, through symbolic links", async (t) => {
  const root = place(t)
  const outside = join(root, "..", "outside")
  fs.mkdirSync(outside)
  const target = await started(root)
  await target.make(entry("l", "a", { link: "../outside" }), signal)
  const hostile = ["a/x", "../outside/x", "/tmp/x", "b/../../outside/x", "./x", "", "x//y", "nowhere/x"]
  for (const path of hostile) {
    await assert.rejects(put(target, path, bytes("!")), { fault: "refused" }, path)
    await assert.rejects(target.make(entry("d", path), signal), { fault: "refused" }, path)
    await assert.rejects(target.make(entry("l", path, { link: "x" }), signal), { fault: "refused" }, path)
  }
  await put(target, "mine", bytes("mine"))
  await assert.rejects(target.make(entry("h", "h", { link: "../outside" }), signal), { fault: "refused" })
  await assert.rejects(target.make(entry("h", "h", { link: "a/x" }), signal), { fault: "refused" })
  assert.deepEqual(fs.readdirSync(outside), [])
  // The same content is taken where the name is a real directory.
  await target.make(entry("d", "b"), signal)
  await put(target, "b/x", bytes("fine"))
  await target.finish(signal)
  assert.equal(fs.readFileSync(join(root, "b/x"), "utf8"), "fine")
})

test("nor through a link that was in an existing target, nor into the staging folder", async (t) => {
  const root = place(t)
  fs.mkdirSync(join(root, "..", "outside"))
  fs.mkdirSync(root)
  fs.symlinkSync("../outside", join(root, "a"))
  const target = await started(root, { intoExisting: true })
  await assert.rejects(target.make(entry("d", "a"), signal), { fault: "conflict" })
  await assert.rejects(put(target, "a/x", bytes("!")), { fault: "refused" })
  const staging = fs.readdirSync(root).find((n) => n.startsWith(".backup-cloud-restore-")) ?? ""
  assert.equal(fs.statSync(join(root, staging)).mode & 0o777, 0o700)
  await assert.rejects(put(target, `${staging}/x`, bytes("!")), { fault: "refused" })
  await assert.rejects(target.make(entry("l", staging, { link: "x" }), signal), { fault: "refused" })
  assert.deepEqual(fs.readdirSync(join(root, "..", "outside")), [])
})

test("a target that is not empty is refused, and never overwritten", async (t) => {
  const root = place(t)
  fs.mkdirSync(root)
  fs.writeFileSync(join(root, "file"), "theirs")
  fs.writeFileSync(join(root, "same"), "same")
  await assert.rejects(dirTarget({ root }).begin("x", signal), { fault: "conflict" })
  const target = await started(root, { intoExisting: true })
  await assert.rejects(put(target, "file", bytes("mine!!")), { fault: "conflict" })
  const staged = entry("f", "file", { content: bytes("mine") })
  await target.write(staged, 0, bytes("mine"), signal)
  await assert.rejects(target.commit(staged, signal), { fault: "conflict" })
  await assert.rejects(target.make(entry("l", "file", { link: "x" }), signal), { fault: "conflict" })
  await put(target, "same", bytes("same"), { mode: 0o600 })
  await put(target, "new", bytes("new"))
  await target.finish(signal)
  assert.equal(fs.readFileSync(join(root, "file"), "utf8"), "theirs")
  assert.equal(fs.readFileSync(join(root, "new"), "utf8"), "new")
  assert.equal(fs.statSync(join(root, "same")).mode & 0o777, 0o600)
})

test("an interrupted restore goes on; another one into the same place does not", async (t) => {
  const root = place(t)
  const first = await started(root)
  await first.make(entry("d", "d", { mode: 0o500 }), signal)
  await put(first, "d/done", bytes("done"), { mode: 0o440 })
  await first.make(entry("l", "l", { link: "d" }), signal)
  await first.write(entry("f", "half", { content: bytes("half") }), 0, bytes("ha"), signal)

  await assert.rejects(dirTarget({ root }).begin("docs/another", signal), { fault: "conflict" })
  const second = await started(root)
  await second.make(entry("d", "d", { mode: 0o500 }), signal)
  assert.equal(await second.has(entry("f", "d/done", { content: bytes("done"), mode: 0o440 }), signal), true)
  assert.equal(await second.has(entry("f", "half", { content: bytes("half") }), signal), false)
  await put(second, "half", bytes("half"))
  await second.make(entry("l", "l", { link: "d" }), signal)
  await second.make(entry("h", "other", { link: "d/done" }), signal)
  assert.deepEqual(await second.finish(signal), [])
  assert.deepEqual(fs.readdirSync(root).toSorted(), ["d", "half", "l", "other"])
  assert.equal(fs.statSync(join(root, "d")).mode & 0o777, 0o500)
  assert.equal(nanos(join(root, "d/done")), 1700000000123456789n)
})

test("set-id bits and devices only on request; sockets are reported", async (t) => {
  for (const asked of [false, true]) {
    const root = place(t)
    const target = await started(root, { setId: asked, devices: asked, owner: true })
    await put(target, "su", bytes("x"), { mode: 0o4755, uid: 12, gid: 34 })
    await target.make(entry("c", "null", { mode: 0o600, attributes: new Map([["device", "1,3"]]) }), signal)
    await target.make(entry("s", "socket"), signal)
    const problems = await target.finish(signal)
    assert.deepEqual(
      problems.map((p) => `${p.path} ${p.expected}`).toSorted(),
      asked ? ["socket true"] : ["null true", "socket true", "su true"],
    )
    const stat = fs.statSync(join(root, "su"))
    assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [asked ? 0o4755 : 0o755, 12, 34])
    assert.equal(fs.existsSync(join(root, "null")), asked)
    if (asked) assert.ok(fs.statSync(join(root, "null")).isCharacterDevice())
  }
})

test("extended attributes and access lists", async (t) => {
  const root = place(t)
  const target = await started(root)
  const attributes = new Map([
    ["acl", "user::r--\nuser:12:rw-\ngroup::r--\nmask::rw-\nother::---\n"],
    ["xattr.user.odd name", "\x00\xff\n"],
  ])
  await put(target, "fi\nle\xff", bytes("x"), { mode: 0o460, attributes })
  await target.make(
    entry("d", "d", { attributes: new Map([["acl.default", "user::rwx\ngroup::r-x\nother::---\n"]]) }),
    signal,
  )
  assert.deepEqual(await target.finish(signal), [])
  const sh = (command: string): string => execFileSync("sh", ["-c", command], { cwd: root, encoding: "latin1" })
  assert.match(sh("getfacl -cn fi*"), /^user::r--\nuser:12:rw-\ngroup::r--\nmask::rw-\nother::---\n/)
  assert.match(sh("getfattr -d -e hex fi*"), /user\.odd name=0x00ff0a/)
  assert.match(sh("getfacl -cn d"), /default:group::r-x/)
  assert.equal(fs.statSync(Buffer.from(`${root}/fi\nle\xff`, "latin1")).mode & 0o777, 0o460)
})

test("SQL of an erasure lies beside the data for its owner alone, and nothing that is there is replaced by it", async (t) => {
  const root = place(t)
  const sql = { number: 12, database: "shop", sql: bytes("DELETE FROM t;\n") }
  const file = join(root, "ERASE-000012.sql")
  const target = dirTarget({ root })
  await target.begin("x", signal)
  assert.equal(await target.erase(sql, signal), "written")
  assert.equal(fs.readFileSync(file, "utf8"), "DELETE FROM t;\n")
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  // Gone on with after an interruption.
  const again = dirTarget({ root })
  await again.begin("x", signal)
  assert.equal(await again.erase(sql, signal), "written")
  await assert.rejects(again.erase({ ...sql, sql: bytes("DROP TABLE t;") }, signal), { fault: "conflict" })
  fs.rmSync(file)
  fs.symlinkSync(join(root, "elsewhere"), file)
  await assert.rejects(again.erase(sql, signal), { fault: "conflict" })
  assert.ok(!fs.existsSync(join(root, "elsewhere")))
})
