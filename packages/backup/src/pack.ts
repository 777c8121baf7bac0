// Chunks as zstd frames of whole tar members, inside a worker thread. A frame is closed at about 1 MiB, so that a volume
// can be filled to within about 1% and frames can be compressed side by side.

import { constants, zstdCompressSync } from "node:zlib"
import { memberSize, writeHeader } from "@backup-cloud/format"
import type { Frame } from "./messages.ts"

const FRAME = 1_048_576

const params = {
  [constants.ZSTD_c_compressionLevel]: 3,
  [constants.ZSTD_c_checksumFlag]: 1,
  [constants.ZSTD_c_contentSizeFlag]: 1,
}

/** Chunks in one buffer, by parallel lists. */
export interface Chunks {
  readonly buffer: ArrayBuffer
  readonly ids: readonly string[]
  readonly offsets: readonly number[]
  readonly lengths: readonly number[]
}

let scratch = Buffer.alloc(0)

/** The frames of these chunks, in order. */
export function pack(chunks: Chunks): Frame[] {
  const frames: Frame[] = []
  const source = Buffer.from(chunks.buffer)
  const { ids, offsets, lengths } = chunks
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
    const bytes = zstdCompressSync(scratch.subarray(0, tarBytes), { params, pledgedSrcSize: tarBytes })
    frames.push({ bytes: owned(bytes), tarBytes, first, count: next - first })
    first = next
  }
  return frames
}

/** The bytes in a buffer of their own, which can be handed to another thread. */
function owned(bytes: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.buffer.byteLength === bytes.length ? bytes : new Uint8Array(bytes)
}
