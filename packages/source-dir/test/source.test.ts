import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { test } from "node:test"
import { isFault, toByteString } from "@backup-cloud/format"
import { dirSource } from "../src/index.ts"
import { hostileNames, makeHostileTree } from "./hostile-tree.ts"
import { byPath, list, listElsewhere, temporary } from "./list.ts"

const NOBODY = 65_534

test("every entry of a hostile tree is listed as it is", async (t) => {
  const root = `${temporary(t)}/tree`
  await makeHostileTree(root, { bigFile: true })
  const all = await list({ root })
  const entries = byPath(all)
  const get = (path: string) => {
    const entry = entries.get(path)
    assert.ok(entry !== undefined, `${JSON.stringify(path)} is listed`)
    return entry
  }

  // find is another walker: it must see the same paths, types, modes, owners, times and sizes.
  const format = "%P\\0%y %m %U:%G %T@ %s\\0"
  const found = execFileSync("find", [root, "-printf", format], { maxBuffer: 1e8 }).toString("latin1").split("\0")
  found.pop()
  assert.equal(all.length, found.length / 2)
  assert.ok(all.length > 150)
  for (let i = 0; i < found.length; i += 2) {
    const entry = get(found[i] === "" ? "." : (found[i] ?? ""))
    const [type, mode, owner, time = "", size] = (found[i + 1] ?? "").split(" ")
    if (entry.type !== "h") assert.equal(entry.type, type, entry.path)
    assert.equal(entry.mode.toString(8), mode, entry.path)
    assert.equal(`${entry.uid}:${entry.gid}`, owner, entry.path)
    // find adds a tenth digit, and before 1970 its digits take away from the seconds.
    if (!time.startsWith("-")) assert.equal(`${entry.mtime}0`, time, entry.path)
    if (entry.type === "f") assert.equal(String(entry.size), size, entry.path)
    else assert.equal(entry.size, 0, entry.path)
    assert.deepEqual(entry.content, entry.type === "f" ? { kind: "file", file: `${root}/${entry.path}` } : null)
    assert.ok(entry.attributes.has("ctime") && entry.attributes.has("ino"))
    assert.ok(!entry.attributes.has("error"))
  }

  for (const name of hostileNames) {
    assert.equal(get(`names/${name}`).type, "f")
    assert.equal(get(`folders/${name}`).type, "d")
    const content = get(`folders/${name}/inside`).content
    assert.ok(content?.kind === "file")
    assert.equal(fs.readFileSync(Buffer.from(content.file, "latin1"), "latin1"), name)
  }
  assert.equal(get("times/just-before-1970").mtime, "-1.500000000")
  assert.equal(get("times/before-1970").mtime, `${Date.UTC(1960, 1, 29, 12, 34, 56) / 1000}.987654321`)
  assert.equal(get("times/before-1970.dir").mtime, get("times/before-1970").mtime)
  assert.equal(get("times/after-2038.link").mtime, `${Date.UTC(2100, 0, 1) / 1000}.000000002`)
  assert.equal(get("links/invalid").link, "\xff\xfe\x80")
  assert.equal(get("links/newline").link, "new\nline")
  assert.equal(get("links/dash").link, "-")
  assert.equal(get("links/directory").type, "l")
  const hard: [string, string][] = [
    ["hard/a/second", "hard/a/b/first"],
    ["hard/third\n\xff", "hard/a/b/first"],
    ["hard/empty-2", "hard/empty-1"],
    ["hard/symlink-2", "hard/symlink-1"],
    ["special/fifo-hard-link", "special/fifo"],
  ]
  for (const [path, link] of hard) assert.deepEqual([get(path).type, get(path).link], ["h", link])
  assert.equal(all.filter((entry) => entry.type === "h").length, hard.length)
  assert.equal(get("special/null").attributes.get("device"), "1,3")
  assert.equal(get("special/char").attributes.get("device"), "300,70000")
  assert.equal(get("special/block").attributes.get("device"), "7,259")
  assert.equal(get("special/socket").type, "s")
  for (const name of ["hole", "middle", "end"]) assert.equal(get(`sparse/${name}`).attributes.get("sparse"), "1")
  assert.equal(get("sizes/zeros").attributes.has("sparse"), false)
  assert.equal(get("modes/7777").mode, 0o7777)
})

test("what another user may not look at is recorded with the reason", (t) => {
  const dir = temporary(t)
  const root = `${dir}/root`
  fs.mkdirSync(`${root}/no-list/inside`, { recursive: true })
  fs.mkdirSync(`${root}/no-search/inside`, { recursive: true })
  fs.writeFileSync(`${root}/no-search/file`, "")
  fs.writeFileSync(`${root}/no-read`, "")
  fs.chmodSync(dir, 0o755)
  fs.chmodSync(`${root}/no-list`, 0o711)
  fs.chmodSync(`${root}/no-search`, 0o744)
  fs.chmodSync(`${root}/no-read`, 0)
  const seen = (uid: number): string[] =>
    listElsewhere({ root }, { uid }).entries.map((e) => `${e.type} ${e.path} ${e.attributes["error"] ?? "-"}`)
  assert.deepEqual(seen(NOBODY), [
    "d . -",
    "d no-list EACCES",
    "f no-read -",
    "d no-search -",
    "u no-search/file EACCES",
    "u no-search/inside EACCES",
  ])
  assert.deepEqual(seen(0), [
    "d . -",
    "d no-list -",
    "d no-list/inside -",
    "f no-read -",
    "d no-search -",
    "f no-search/file -",
    "d no-search/inside -",
  ])
  // What may hold something wanted is not passed over because nobody can tell.
  const include = listElsewhere({ root, include: ["/no-*/inside/x"] }, { uid: NOBODY }).entries
  assert.deepEqual(
    include.map((e) => `${e.type} ${e.path}`),
    ["d .", "d no-list", "d no-search", "u no-search/inside"],
  )
  fs.chmodSync(root, 0o711)
  const { fault } = listElsewhere({ root }, { uid: NOBODY })
  assert.equal(fault?.fault, "unavailable")
  assert.ok(fault.message.includes(root) && fault.message.includes("EACCES"))
})

test("the root must be a directory, by an absolute path; a link is followed", async (t) => {
  const dir = temporary(t)
  fs.mkdirSync(`${dir}/real`)
  fs.writeFileSync(`${dir}/real/file`, "")
  fs.symlinkSync("real", `${dir}/link`)
  const strange = Buffer.from(`${dir}/ä\n`)
  fs.mkdirSync(strange)
  for (const missing of ["none", "real/file", "real/file/x"]) {
    await assert.rejects(list({ root: `${dir}/${missing}` }), (error: Error) => {
      return isFault(error, "not-found") && error.message.startsWith(`${dir}/${missing}: `)
    })
  }
  assert.throws(() => dirSource({ root: "relative" }), { fault: "usage" })
  for (const root of [`${dir}/link`, `${dir}/real/`, `${dir}//real/.`]) {
    const entries = await list({ root })
    assert.deepEqual(
      entries.map((e) => `${e.type} ${e.path}`),
      ["d .", "f file"],
    )
    assert.deepEqual(entries[1]?.content, { kind: "file", file: `${fs.realpathSync(dir)}/real/file` })
  }
  assert.equal((await list({ root: `${dir}/ä\n` })).length, 1)
  fs.writeFileSync(`${dir}/ä\n/file`, "")
  const inside = (await list({ root: `${dir}/ä\n` }))[1]
  assert.deepEqual(inside?.content, { kind: "file", file: toByteString(`${fs.realpathSync(dir)}/ä\n/file`) })
})

test("a directory on another device is recorded, and entered only if allowed", async (t) => {
  const root = temporary(t)
  fs.mkdirSync(`${root}/a/mount`, { recursive: true })
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", `${root}/a/mount`])
  try {
    fs.writeFileSync(`${root}/a/mount/inside`, "")
    fs.writeFileSync(`${root}/a/z`, "")
    const paths = async (oneFileSystem: boolean): Promise<string[]> =>
      (await list({ root, oneFileSystem })).map((entry) => entry.path)
    assert.deepEqual(await paths(false), [".", "a", "a/mount", "a/mount/inside", "a/z"])
    assert.deepEqual(await paths(true), [".", "a", "a/mount", "a/z"])
  } finally {
    execFileSync("umount", [`${root}/a/mount`])
  }
})

/** 100,000 files in 100 directories. */
function makeMany(root: string): void {
  for (let d = 0; d < 100; d++) {
    fs.mkdirSync(`${root}/dir-${d}`, { recursive: true })
    for (let f = 0; f < 1000; f++) fs.closeSync(fs.openSync(`${root}/dir-${d}/file-${f}`, "wx"))
  }
}

test("100,000 entries are listed in a small heap, and never far ahead of the reader", async (t) => {
  const root = `${temporary(t)}/root`
  makeMany(root)
  // Half of what the entries take when they are kept.
  const small = listElsewhere({ root }, { execArgv: ["--max-old-space-size=32"], count: true })
  assert.equal(small.count, 100_101)

  let seen = 0
  for await (const batch of dirSource({ root }).entries(new AbortController().signal)) {
    assert.ok(batch.length <= 1000)
    // With the first batch in hand, everything vanishes: only what was looked at before can still come.
    if (seen === 0) for (const name of fs.readdirSync(root)) fs.rmSync(`${root}/${name}`, { recursive: true })
    seen += batch.length
  }
  // The first, four ahead, and the one that waits to be sent.
  assert.ok(seen >= 1000 && seen <= 6000, `${seen} entries`)
})

test("a root that is replaced while it is listed is no empty tree", async (t) => {
  const dir = temporary(t)
  const root = `${dir}/root`
  for (let f = 0; f < 10_000; f++) {
    fs.mkdirSync(`${root}/dir`, { recursive: true })
    fs.writeFileSync(`${root}/dir/${f}`, "")
  }
  const listing = async (meanwhile: () => void): Promise<void> => {
    let first = true
    for await (const batch of dirSource({ root }).entries(new AbortController().signal)) {
      assert.ok(batch.length > 0)
      if (first) meanwhile()
      first = false
    }
  }
  await listing(() => undefined)
  await assert.rejects(
    listing(() => {
      fs.renameSync(root, `${dir}/elsewhere`)
      fs.mkdirSync(root)
    }),
    { fault: "unavailable" },
  )
})

test("a listing ends when its signal fires, and when its reader has enough", async () => {
  const stop = new AbortController()
  const reason = new Error("enough")
  const source = dirSource({ root: tmpdir() })
  await assert.rejects(async () => {
    for await (const batch of source.entries(stop.signal)) {
      assert.ok(batch.length > 0)
      stop.abort(reason)
    }
  }, reason)
  await assert.rejects(async () => {
    for await (const batch of source.entries(stop.signal)) assert.fail(`${batch.length} entries after the end`)
  }, reason)
  // A thread left behind would keep this process from ending.
  for await (const batch of source.entries(new AbortController().signal)) {
    assert.equal(batch[0]?.path, ".")
    break
  }
})
