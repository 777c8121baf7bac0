import assert from "node:assert/strict"
import { createHash, createHmac, createSecretKey } from "node:crypto"
import { test } from "node:test"
import { cutTable } from "@backup-cloud/format"
import { noise } from "../../store/test/helpers.ts"
import { contentRule, cutEnd } from "../src/cut.ts"
import { StreamCutter } from "../src/cut-stream.ts"
import { LongHashes } from "../src/long-hashes.ts"
import { type FileEnd, SLOT, STREAM_START, type StreamPart } from "../src/messages.ts"

const naming = {
  chunkKey: createSecretKey(new Uint8Array(32).fill(9)),
  table: Int32Array.from(cutTable(new Uint8Array(32).fill(1))),
}
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Ids of the chunks that the cut rule gives, with all bytes at hand. */
function expected(bytes: Uint8Array): string[] {
  const ids: string[] = []
  for (let start = 0; start < bytes.length; ) {
    const found = cutEnd(bytes, start, bytes.length, naming.table, contentRule)
    const end = found < 0 ? bytes.length : found
    ids.push(createHmac("sha256", naming.chunkKey).update(bytes.subarray(start, end)).digest("hex"))
    start = end
  }
  return ids
}

/** Cuts streams that come in slots filled up to `room` bytes; of each stream its chunks' ids and its end. */
function cutAll(streams: readonly { bytes: Uint8Array; error?: string }[], room: number) {
  const cutter = new StreamCutter(naming)
  const found = streams.map(() => ({ ids: [] as string[], end: null as FileEnd | null }))
  const slot = { number: 3, bytes: Buffer.alloc(SLOT) }
  const hashes = new LongHashes()
  let used = STREAM_START
  let parts: StreamPart[] = []
  const flush = (last: boolean): void => {
    const piece = cutter.cut(slot, parts, last)
    assert.deepEqual([piece.slot, piece.last], [3, last])
    let at = 0
    for (const part of piece.parts) {
      const of = found[part.file]
      for (const end = at + part.chunks; at < end; at++) {
        const bytes = slot.bytes.subarray(piece.offsets[at], (piece.offsets[at] ?? 0) + (piece.lengths[at] ?? 0))
        assert.equal(createHmac("sha256", naming.chunkKey).update(bytes).digest("hex"), piece.ids[at])
        of?.ids.push(piece.ids[at] ?? "")
      }
      const [digest] = part.unhashed === null ? [] : hashes.take(1, slot.bytes, [part.unhashed])
      if (of !== undefined && part.end !== null)
        of.end = part.end.sha256 === null || digest === undefined ? part.end : { ...part.end, sha256: digest }
    }
    assert.equal(at, piece.ids.length, "every chunk belongs to a stream")
    used = STREAM_START
    parts = []
    slot.bytes.fill(255)
  }
  for (const [file, { bytes, error }] of streams.entries()) {
    let length = 0
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(STREAM_START + room - used, bytes.length - at)
      slot.bytes.set(bytes.subarray(at, at + count), used)
      at += count
      used += count
      length += count
      if (used < STREAM_START + room) continue
      parts.push({ file, length, then: "more" })
      flush(false)
      length = 0
    }
    parts.push({ file, length, then: error === undefined ? "end" : { error } })
  }
  flush(true)
  return found
}

const MiB = 1_048_576

for (const room of [SLOT - STREAM_START, 1_000_003, MiB]) {
  test(`streams in slots of ${room} bytes are cut as if they had come at once`, () => {
    const streams = [0, 1, 5 * MiB + 7, 300_000, 12 * MiB, 4 * MiB, 0].map((length, i) => ({
      // Zeros have no cut but after the longest chunk.
      bytes: i === 4 ? new Uint8Array(length) : noise(length + i).subarray(i),
    }))
    const found = cutAll(streams, room)
    for (const [i, { bytes }] of streams.entries()) {
      assert.deepEqual(found[i]?.ids, expected(bytes), `stream ${i}`)
      assert.deepEqual(found[i].end, { sha256: sha256(bytes), size: bytes.length, error: null, stat: null })
    }
  })
}

test("a stream that breaks off is void, and the next one is not touched by it", () => {
  const good = noise(3 * MiB)
  const found = cutAll([{ bytes: noise(6 * MiB + 5), error: "GLACIER" }, { bytes: good }], 2 * MiB)
  assert.equal(found[0]?.end?.sha256, null)
  assert.equal(found[0].end.error, "GLACIER")
  assert.deepEqual(found[1]?.ids, expected(good))
  assert.equal(found[1].end?.sha256, sha256(good))
})

for (const word of ["changed", "ENOENT"])
  test(`a stream that ends with ${word} keeps what was read only where the catalogue wants it`, () => {
    const read = noise(3_000_000)
    const [found] = cutAll([{ bytes: read, error: word }], SLOT - STREAM_START)
    const kept = word === "changed"
    assert.equal(found?.end?.error, word)
    assert.equal(found.end.sha256, kept ? sha256(read) : null)
    assert.deepEqual(found.ids, kept ? expected(read) : [])
  })
