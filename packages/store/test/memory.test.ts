import assert from "node:assert/strict"
import { test } from "node:test"
import { memoryStore } from "../src/index.ts"
import { storeContract } from "./contract.ts"
import { bytes, get, put, sha256, signal } from "./helpers.ts"

const now = new Date("2026-11-23T22:15:00Z")
const open = () => memoryStore({ now: () => now })

storeContract("memory", async () => open())

test("memory: objects arrive when the clock says", async () => {
  assert.deepEqual((await put(open(), "a", "x")).arrived, now)
})

test("memory: a body without its digest is tampered and not kept", async () => {
  const store = open()
  await assert.rejects(store.create("a", [bytes("x")], sha256(bytes("y")), signal), { fault: "tampered" })
  assert.equal(await store.stat("a", signal), null)
})

test("memory: what a reader does with the bytes does not reach the object", async () => {
  const store = open()
  await put(store, "a", "x")
  for await (const piece of store.read("a", signal)) piece.fill(0)
  assert.equal((await get(store, "a")).toString(), "x")
})
