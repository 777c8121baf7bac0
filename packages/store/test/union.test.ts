import assert from "node:assert/strict"
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import {
  type ArchiveReader,
  directoryStore,
  memoryStore,
  type ReadOptions,
  type Store,
  unionReader,
} from "../src/index.ts"
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

/** A copy whose cable comes loose: at once, or after the first byte of an object. */
const failing = (inner: ArchiveReader, after: "stat" | "byte"): ArchiveReader => ({
  ...inner,
  async stat(name, stop) {
    if (after === "stat") throw new BackupError("unavailable", "the cable")
    return await inner.stat(name, stop)
  },
  async *read(name: string, stop: AbortSignal, options: ReadOptions = {}) {
    const { start = 0 } = options
    yield* inner.read(name, stop, { start, end: start + 1 })
    throw new BackupError("unavailable", "the cable")
  },
})

test("union: where a copy fails the next that has the object goes on; that none has it is certain only if all answer", async () => {
  const [a, b] = await two()
  const body = "a long one"
  for (const store of [a, b]) await put(store, "long", body)
  for (const after of ["stat", "byte"] as const) {
    assert.equal((await get(unionReader([failing(a, after), b], never), "long")).toString(), body)
    assert.equal((await get(unionReader([failing(a, after), b], never), "long", { start: 2 })).length, body.length - 2)
    await assert.rejects(get(unionReader([failing(a, after)], never), "long"), { fault: "unavailable" })
    await assert.rejects(get(unionReader([failing(a, after), failing(b, after)], never), "long"), {
      fault: "unavailable",
    })
  }
  await assert.rejects(unionReader([failing(a, "stat"), b], never).stat("nowhere", signal), { fault: "unavailable" })
})
