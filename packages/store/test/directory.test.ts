import assert from "node:assert/strict"
import { lstat, mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { directoryStore } from "../src/index.ts"
import { storeContract } from "./contract.ts"
import { get, namesOf, noise, put, sha256, signal, temporaryDirectory } from "./helpers.ts"

storeContract("directory", async () => directoryStore(await temporaryDirectory()))

test("directory: the file is the body, and no temporary one stays", async () => {
  const path = await temporaryDirectory()
  const store = directoryStore(path)
  const info = await put(store, "backup/a", "body")
  await assert.rejects(put(store, "backup/a", "other"), { fault: "conflict" })
  assert.equal(await readFile(join(path, "backup/a"), "utf8"), "body")
  assert.deepEqual(await readdir(join(path, ".incoming")), [])
  assert.deepEqual(info.arrived, (await lstat(join(path, "backup/a"))).mtime)
})

test("directory: a body in many thousand pieces is written whole", async () => {
  const store = directoryStore(await temporaryDirectory())
  const body = noise(1_000_000)
  const pieces = Array.from({ length: 5_000 }, (_, i) => body.subarray(i * 200, (i + 1) * 200))
  await store.create("a", pieces, sha256(body), signal)
  assert.ok((await get(store, "a")).equals(body))
})

test("directory: without the directory nothing is absent, it is not found", async () => {
  const path = await temporaryDirectory()
  const store = directoryStore(path)
  assert.equal(await store.stat("a", signal), null)
  await rm(path, { recursive: true })
  await assert.rejects(store.stat("a", signal), { fault: "not-found" })
  await assert.rejects(put(store, "a", "x"), { fault: "not-found" })
  await assert.rejects(namesOf(store, ""), { fault: "not-found" })
  await assert.rejects(store.probe(signal), { fault: "not-found" })
  await assert.rejects(lstat(path), { code: "ENOENT" })
})

test("directory: symbolic links inside are refused, for reading, writing, listing and removing", async () => {
  const outside = await temporaryDirectory()
  await mkdir(join(outside, "folder"))
  await writeFile(join(outside, "folder", "file"), "secret")
  const path = await temporaryDirectory()
  const store = directoryStore(path)
  await put(store, "backup/real", "x")
  await symlink(join(outside, "folder"), join(path, "backup", "link"))
  await symlink(join(outside, "folder", "file"), join(path, "backup", "filelink"))
  for (const name of ["backup/link/file", "backup/filelink"]) {
    await assert.rejects(get(store, name), { fault: "refused" }, name)
    await assert.rejects(store.stat(name, signal), { fault: "refused" }, name)
    await assert.rejects(store.remove(name, signal), { fault: "refused" }, name)
  }
  await assert.rejects(put(store, "backup/link/new", "x"), { fault: "refused" })
  await assert.rejects(namesOf(store, "backup/"), { fault: "refused" })
  await assert.rejects(namesOf(store, "backup/link/"), { fault: "refused" })
  assert.deepEqual(await readdir(join(outside, "folder")), ["file"])
  // The same names are well once the links are real files.
  await rm(join(path, "backup", "filelink"))
  await rm(join(path, "backup", "link"))
  await rename(join(outside, "folder"), join(path, "backup", "link"))
  assert.equal((await get(store, "backup/link/file")).toString(), "secret")
  assert.deepEqual(await namesOf(store, "backup/"), ["backup/link/file", "backup/real"])
})

test("directory: the archive itself may be reached by a symbolic link", async () => {
  const path = await temporaryDirectory()
  const link = `${path}-link`
  await symlink(path, link)
  await put(directoryStore(link), "a", "x")
  await rm(link)
  assert.equal(await readFile(join(path, "a"), "utf8"), "x")
})

test("directory: a file left over from a crash is no object, and goes after a day", async () => {
  const path = await temporaryDirectory()
  await put(directoryStore(path), "first", "x")
  const incoming = join(path, ".incoming")
  await writeFile(join(incoming, "old-0"), "half")
  await writeFile(join(incoming, "new-0"), "half")
  await utimes(join(incoming, "old-0"), 1, 1)
  const store = directoryStore(path)
  assert.deepEqual(await namesOf(store, ""), ["first"])
  await put(store, "second", "y")
  assert.deepEqual(await readdir(incoming), ["new-0"])
})

test("directory: a leftover of the very same body does not stand in the way", async () => {
  const path = await temporaryDirectory()
  await mkdir(join(path, ".incoming"))
  await writeFile(join(path, ".incoming", `${sha256(noise(5)).slice(0, 16)}-0`), "half")
  const store = directoryStore(path)
  await put(store, "a", noise(5))
  assert.ok((await get(store, "a")).equals(noise(5)))
})

test("directory: probe says what a directory cannot promise", async () => {
  const found = await directoryStore(await temporaryDirectory()).probe(signal)
  assert.equal(found.versions, false)
  assert.equal(found.lock, null)
  assert.match(found.notices.join(" "), /cannot refuse deletion/)
})
