import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { test } from "node:test"
import { compressFrame, padding, TAR_END, unpackVolume } from "@backup-cloud/format"
import { HEAD } from "../src/messages.ts"
import { pack } from "../src/pack.ts"

const LENGTHS = [1, 100, 4_000, 5_000, 70_000, 1_048_576, 2_000_000, 4_194_304, 3]

const total = LENGTHS.reduce((sum, length) => sum + length, 0)

for (const [kind, head] of [
  ["noise", HEAD],
  ["noise", 0],
  ["zeros", HEAD],
] as const) {
  test(`chunks of ${kind} come back from their frames, with ${head} bytes before them`, async () => {
    const content = kind === "noise" ? randomBytes(total) : Buffer.alloc(total)
    const slot = Buffer.concat([Buffer.alloc(head), content])
    const ids = LENGTHS.map((length) => createHash("sha256").update(String(length)).digest("hex"))
    const offsets = LENGTHS.map((_, i) => LENGTHS.slice(0, i).reduce((sum, length) => sum + length, head))
    const frames = pack(slot, { slot: 0, ids, offsets, lengths: LENGTHS })
    const own = frames.filter(({ place }) => place instanceof Uint8Array)
    assert.equal(own.length > 0, head === 0, "they lie in the slot where there is room")
    const bytes = frames.map(({ place }) =>
      place instanceof Uint8Array ? place : slot.subarray(place.start, place.end),
    )
    const volume = Buffer.concat([...bytes, await compressFrame(new Uint8Array(TAR_END))])
    const members = await unpackVolume(Buffer.concat([volume, padding(volume.length)]), "the volume")
    assert.deepEqual(
      members.map((member) => member.id),
      ids,
    )
    for (const [i, member] of members.entries()) {
      const offset = (offsets[i] ?? 0) - head
      assert.ok(member.bytes.equals(content.subarray(offset, offset + (LENGTHS[i] ?? 0))))
    }
    assert.equal(
      frames.reduce((sum, frame) => sum + frame.count, 0),
      LENGTHS.length,
    )
  })
}
