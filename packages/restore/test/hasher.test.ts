import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { test } from "node:test"
import { Hasher } from "../src/hasher.ts"

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

test("what lies in the thread's memory, or elsewhere, has the digest that it has", async () => {
  await using hasher = new Hasher()
  for (const length of [0, 1, 262_143, 262_144, 5_000_000, hasher.object.byteLength]) {
    const bytes = Buffer.from(hasher.object, 0, length)
    bytes.fill(randomBytes(Math.min(length, 100_003)))
    assert.equal(await hasher.digest(bytes), sha256(bytes), `${length} bytes`)
  }
  const part = Buffer.from(hasher.object, 1000, 300_000)
  assert.equal(await hasher.digest(part), sha256(part))
  const elsewhere = randomBytes(300_000)
  assert.equal(await hasher.digest(elsewhere), sha256(elsewhere))
})

test("streams side by side do not mix, and their pieces' memory may be used again at once", async () => {
  await using hasher = new Hasher()
  const contents = [0, 1, 4_194_304, 4_194_305, 13_000_000].map((length) => randomBytes(length))
  const streams = contents.map(() => hasher.stream())
  const piece = Buffer.alloc(700_001)
  for (let at = 0; at < 13_000_000; at += piece.length)
    for (const [i, content] of contents.entries()) {
      const length = content.subarray(at).copy(piece)
      await streams[i]?.update(piece.subarray(0, length))
      piece.fill(0)
    }
  // Of more than a piece at once, while others wait for their digests.
  const whole = hasher.stream()
  const taken = whole.update(contents[4] ?? piece)
  const found = await Promise.all(streams.map((stream) => stream.digest()))
  assert.deepEqual(found, contents.map(sha256))
  await taken
  assert.equal(await whole.digest(), sha256(contents[4] ?? piece))
})
