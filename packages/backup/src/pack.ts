// Chunks as zstd frames of whole tar members, inside a worker thread. A frame is closed at about 1 MiB, so that a volume
// can be filled to within about 1% and frames can be compressed side by side.

import { compressFrameSync, memberSize, release, writeHeader } from "@backup-cloud/format"
import type { Chunks, Frame } from "./messages.ts"

const FRAME = 1_048_576

let scratch = Buffer.alloc(0)

/** The frames of these chunks, in order. @param source the slot that they lie in */
export function pack(source: Buffer, { ids, offsets, lengths }: Chunks): Frame[] {
  const frames: Frame[] = []
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
      source.copy(scratch, at + 512, offset, offset + length)
      scratch.fill(0, at + 512 + length, at + memberSize(length))
      at += memberSize(length)
    }
    const compressed = compressFrameSync(scratch.subarray(0, tarBytes))
    const bytes = owned(compressed)
    frames.push({ bytes, tarBytes, first, count: next - first })
    first = next
  }
  return frames
}

/** The bytes in a buffer of their own, which can be handed to another thread; copied if most of it would be unused. */
function owned(bytes: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.buffer.byteLength < 2 * bytes.length) return bytes
  const copy = new Uint8Array(bytes)
  release(bytes.buffer)
  return copy
}
