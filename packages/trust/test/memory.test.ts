import assert from "node:assert/strict"
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import test from "node:test"
import { type Memory, memoryFile, newMemory } from "../src/index.ts"

const full: Memory = {
  ...newMemory("A".repeat(40)),
  archive: "0".repeat(32),
  policy: { number: 3, sha256: "1".repeat(64) },
  heads: { docs: [{ run: "20261120T080000Z-00000001", number: 2, sums: "2".repeat(64) }] },
}

test("a memory in a file is null at first, is replaced whole, and only its owner reads it", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "trust-"))
  t.after(() => rm(directory, { recursive: true }))
  const path = join(directory, "home", "memory.json")
  assert.equal(await memoryFile(path).read(), null)
  await memoryFile(path).write(newMemory("A".repeat(40)))
  await memoryFile(path).write(full)
  assert.deepEqual(await memoryFile(path).read(), full)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(join(directory, "home"))).mode & 0o777, 0o700)
  assert.deepEqual(await readdir(join(directory, "home")), ["memory.json"])
})

test("a memory that is not what was written is not taken for none", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "trust-"))
  t.after(() => rm(directory, { recursive: true }))
  const path = join(directory, "memory.json")
  await memoryFile(path).write(full)
  const text = await readFile(path, "utf8")
  for (const bad of [
    "",
    text.slice(0, -10),
    text.replace('"number": 3', '"number": 0'),
    text.replace("AAAA", "aaaa"),
  ]) {
    await writeFile(path, bad)
    await assert.rejects(memoryFile(path).read(), { fault: "unavailable" })
  }
  await writeFile(path, text)
  assert.deepEqual(await memoryFile(path).read(), full)
})
