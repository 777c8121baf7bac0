import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { mkdtemp, open, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { cutTable } from "@backup-cloud/format"
import { jsSealer } from "@backup-cloud/openpgp/seal"
import { Pool } from "../src/pool.ts"

const signal = new AbortController().signal
const folder = await mkdtemp(join(tmpdir(), "pool-"))
const pool = new Pool(1, { chunkKey: randomBytes(32), cutTable: cutTable(randomBytes(32)) })
after(async () => {
  await pool[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function* plain() {
  yield randomBytes(3_000_000)
}

test("a sealed object is looked over and hashed by a worker", async () => {
  await using file = await open(join(folder, "whole"), "wx+")
  const to = await jsSealer().sealInto(file, plain(), { certificates: [], passphrase: "p" }, signal)
  const bytes = await readFile(join(folder, "whole"))
  assert.ok(bytes.length > 3_000_000)
  assert.deepEqual(await pool.digest(file, to), {
    length: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
  })
})

test("one that is cut off or sealed to others is told with its fault, as if no thread lay between", async () => {
  await using file = await open(join(folder, "cut"), "wx+")
  const to = await jsSealer().sealInto(file, plain(), { certificates: [], passphrase: "p" }, signal)
  await assert.rejects(pool.digest(file, { ...to, passphrase: false }), {
    fault: "unavailable",
    hint: "this version of the OpenPGP program cannot be used; nothing was stored",
  })
  const { size } = await file.stat()
  await file.truncate(size - 1)
  await assert.rejects(pool.digest(file, to), { fault: "tampered", message: /ends within its data/ })
  await file.truncate(0)
  await assert.rejects(pool.digest(file, to), { fault: "tampered", message: /ends before its data/ })
})
