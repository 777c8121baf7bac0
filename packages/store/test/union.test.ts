import assert from "node:assert/strict"
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import { type ArchiveReader, directoryStore, memoryStore, type Store, unionReader } from "../src/index.ts"
import { storeContract } from "./contract.ts"
import { get, namesOf, put, signal, temporaryDirectory } from "./helpers.ts"

const now = () => new Date("2026-11-23T22:15:00Z")
const never = async (): Promise<boolean> => false

storeContract("a union with an empty copy", async () => {
  const store: Store = memoryStore({ now })
  return { ...store, ...unionReader([store, memoryStore({ now })], never) }
})

const two = async (): Promise<[Store, Store, ArchiveReader]> => {
  const [a, b] = [memoryStore({ now }), directoryStore(await temporaryDirectory())]
  for (const [store, name, body] of [
    [a, "a", "a of the first"],
    [a, "c", "c of the first"],
    [b, "b", "b of the second"],
    [b, "c", "c of the second"],
    [b, "d/e", "e"],
  ] as const)
    await put(store, name, body)
  return [a, b, unionReader([a, b], never)]
}

test("union: each object once, in order, from the first that has it", async () => {
  const [, , union] = await two()
  assert.deepEqual(await namesOf(union, ""), ["a", "b", "c", "d/e"])
  assert.deepEqual(await namesOf(union, "d/"), ["d/e"])
  assert.equal((await get(union, "c")).toString(), "c of the first")
  assert.equal((await get(union, "b")).toString(), "b of the second")
  assert.equal((await get(union, "b", { start: 2, end: 4 })).toString(), "of")
  assert.equal((await union.stat("d/e", signal))?.size, 1)
  assert.equal(await union.stat("x", signal), null)
})

test("union: what the others have of an object are versions of it", async () => {
  const [, , union] = await two()
  const found = await Promise.all(
    (await union.versions("c", signal)).map(async ({ version }) => (await get(union, "c", { version })).toString()),
  )
  assert.deepEqual(found, ["c of the first", "c of the second"])
  await assert.rejects(get(union, "c", { version: "7/" }), { fault: "not-found" })
  await assert.rejects(get(union, "c", { version: "x" }), { fault: "not-found" })
})

test("union: a copy that is not there has nothing, and may come while it is asked for", async () => {
  const folder = await temporaryDirectory()
  const path = join(folder, "disk")
  const asked: string[] = []
  const [a] = await two()
  const missing = async (name: string): Promise<boolean> => {
    asked.push(name)
    if (asked.length > 1) throw new BackupError("unavailable", "nobody brings it")
    await mkdir(path)
    await put(directoryStore(path), "late", "it came")
    return true
  }
  const union = unionReader([a, directoryStore(path)], missing)
  assert.deepEqual(await namesOf(union, ""), ["a", "c"])
  assert.deepEqual(asked, [], "a listing asks for nothing")
  assert.equal((await get(union, "late")).toString(), "it came")
  await rm(path, { recursive: true })
  await assert.rejects(get(union, "late"), { fault: "unavailable" })
  assert.deepEqual(asked, ["late", "late"])
  await assert.rejects(get(unionReader([a], never), "late"), { fault: "not-found" })
})

test("union: a copy that fails is no copy without the object", async () => {
  const [a] = await two()
  const broken: ArchiveReader = {
    ...a,
    stat: async () => {
      throw new BackupError("unavailable", "the cable")
    },
  }
  await assert.rejects(unionReader([broken, a], never).stat("a", signal), { fault: "unavailable" })
})
