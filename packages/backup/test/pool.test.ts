import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { setTimeout } from "node:timers/promises"
import { cutTable } from "@backup-cloud/format"
import { jsSealer } from "@backup-cloud/openpgp/seal"
import { LongHashes } from "../src/long-hashes.ts"
import { LATER } from "../src/messages.ts"
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

test("what is asked of a worker that has failed already is told so", async () => {
  await using broken = new Pool(1, { chunkKey: new Uint8Array(0), cutTable: null as never })
  await using file = await open(join(folder, "whole"))
  await assert.rejects(broken.digest(file, { keyIds: [], passphrase: true }), TypeError)
  const late = broken.digest(file, { keyIds: [], passphrase: true }).catch((error: unknown) => error)
  assert.ok((await Promise.race([late, setTimeout(5_000, "hangs")])) instanceof TypeError)
})

for (const size of [1, 2, 3])
  test(`files that span pieces get their digests as they are packed, by ${size} workers`, async () => {
    const sizes = [20_000_000, 5, 9_000_000, 100_000, 8_400_000, 30_000_000]
    const contents = sizes.map((length) => randomBytes(length))
    const files = contents.map((bytes, i) => ({ file: join(folder, `${size}-${i}`), size: bytes.length }))
    await Promise.all(files.map(({ file }, i) => writeFile(file, contents[i] ?? "")))
    const gone = { file: join(folder, "gone"), size: 9_000_000 }
    await using workers = new Pool(size, { chunkKey: randomBytes(32), cutTable: cutTable(randomBytes(32)) })
    // Nothing of it is known to one job, all of it to the other: there is nothing to pack, and digests are due all the same.
    const read = async (job: typeof files, isFresh: boolean): Promise<(string | null)[]> => {
      const found: (string | null)[] = []
      for await (const piece of workers.scan(job)) {
        const { frames, digests } = await workers.pack(piece, isFresh ? [...piece.ids.keys()] : [])
        assert.equal(
          frames.reduce((sum, frame) => sum + frame.count, 0),
          isFresh ? piece.ids.length : 0,
        )
        let due = 0
        for (const { end, unhashed } of piece.parts) {
          const digest = unhashed?.last === true ? digests[due++] : undefined
          if (end !== null) found.push(end.sha256 === LATER ? (digest ?? "none") : end.sha256)
        }
        assert.equal(due, digests.length)
        workers.free(piece.slot)
      }
      return found
    }
    const expected = contents.map((bytes) => createHash("sha256").update(bytes).digest("hex"))
    const jobs = [read(files, true), read([...files.slice(0, 2), gone, ...files.slice(2)], false)]
    const [fresh, known] = await Promise.all(jobs)
    assert.deepEqual(fresh, expected)
    assert.deepEqual(known, [...expected.slice(0, 2), null, ...expected.slice(2)])
  })

test("a long file that fails in the middle leaves nothing behind for the digest of the next one", () => {
  const hashes = new LongHashes()
  const bytes = randomBytes(300)
  const hash = (start: number, end: number) => createHash("sha256").update(bytes.subarray(start, end)).digest("hex")
  hashes.take(1, bytes, [{ start: 0, end: 100, last: false }])
  // Another job goes on beside it.
  assert.deepEqual(hashes.take(2, bytes, [{ start: 7, end: 9, last: true }]), [hash(7, 9)])
  hashes.take(1, bytes, [{ start: 100, end: 100, last: true }])
  assert.deepEqual(hashes.take(1, bytes, [{ start: 200, end: 300, last: true }]), [hash(200, 300)])
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
