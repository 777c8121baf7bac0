import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { test } from "node:test"
import { compressFrame, padding, TAR_END, unpackVolume } from "@backup-cloud/format"
import { pack } from "../src/pack.ts"

const LENGTHS = [1, 100, 4_000, 5_000, 70_000, 1_048_576, 2_000_000, 4_194_304, 3]

test("chunks of any length come back from their frames, and the frames can be handed to another thread", async () => {
  for (const kind of ["noise", "zeros"]) {
    const total = LENGTHS.reduce((sum, length) => sum + length, 0)
    const source = kind === "noise" ? randomBytes(total) : Buffer.alloc(total)
    const ids = LENGTHS.map((length) => createHash("sha256").update(String(length)).digest("hex"))
    const offsets = LENGTHS.map((_, i) => LENGTHS.slice(0, i).reduce((sum, length) => sum + length, 0))
    const frames = pack(source, { slot: 0, ids, offsets, lengths: LENGTHS })
    const handed = frames.map(({ bytes }) => structuredClone(bytes, { transfer: [bytes.buffer] }))
    assert.ok(handed.every((bytes) => bytes.length * 2 > bytes.buffer.byteLength || bytes.buffer.byteLength < 20_000))
    const content = Buffer.concat([...handed, await compressFrame(new Uint8Array(TAR_END))])
    const members = await unpackVolume(Buffer.concat([content, padding(content.length)]), "the volume")
    assert.deepEqual(
      members.map((member) => member.id),
      ids,
    )
    for (const [i, member] of members.entries()) {
      const offset = offsets[i] ?? 0
      assert.ok(member.bytes.equals(source.subarray(offset, offset + (LENGTHS[i] ?? 0))))
    }
    assert.equal(
      frames.reduce((sum, frame) => sum + frame.count, 0),
      LENGTHS.length,
    )
  }
})
