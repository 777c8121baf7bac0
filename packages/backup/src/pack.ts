// Chunks as zstd frames of whole tar members, inside a worker thread. A frame is closed at about 1 MiB, so that a volume
// can be filled to within about 1% and frames can be compressed side by side. A frame is put where the chunks were that it
// was made of: memory that a thread gives to another in buffers costs each of them collections of its whole heap.

import { compressFrameSync, memberSize, release, writeHeader } from "@backup-cloud/format"
import type { Chunks, Frame } from "./messages.ts"

const FRAME = 1_048_576

let scratch = Buffer.alloc(0)

/**
 * The frames of these chunks, in order.
 * @param slot that the chunks lie in, in order; it holds the frames afterwards
 */
export function pack(slot: Buffer, { ids, offsets, lengths }: Chunks): Frame[] {
  const frames: Frame[] = []
  let free = 0
  for (let first = 0; first < ids.length; ) {
    let next = first
    let tarBytes = 0
    while (next < ids.length && (tarBytes === 0 || tarBytes + memberSize(lengths[next] ?? 0) <= FRAME)) {
      tarBytes += memberSize(lengths[next] ?? 0)
      next++
    }
    if (scratch.length < tarBytes) scratch = Buffer.alloc(Math.max(tarBytes, 2 * FRAME))
    let at = 0
    for (let i = first; i < next; i++) {
      const length = lengths[i] ?? 0
      const offset = offsets[i] ?? 0
      writeHeader(scratch, at, ids[i] ?? "", length)
      slot.copy(scratch, at + 512, offset, offset + length)
      scratch.fill(0, at + 512 + length, at + memberSize(length))
      at += memberSize(length)
    }
    const frame = compressFrameSync(scratch.subarray(0, tarBytes))
    const end = free + frame.length
    const fits = end <= (offsets[next] ?? slot.length)
    frames.push({
      place: fits ? { start: free, end } : Uint8Array.from(frame),
      tarBytes,
      count: next - first,
    })
    // `fill` copies as C does; `copy` goes word by word where memory is shared.
    if (fits) slot.fill(frame, free, end)
    if (fits) free = end
    release(frame.buffer)
    first = next
  }
  return frames
}
