// Volumes and what they are made of, right ones and such as no writer of ours makes.

import { BLOCK, compressFrame, memberSize, padding, TAR_END, writeHeader } from "../src/index.ts"

export interface Chunk {
  readonly id: string
  readonly bytes: Uint8Array
}

export function makeTar(chunks: readonly Chunk[]): Buffer {
  const tar = Buffer.alloc(chunks.reduce((sum, c) => sum + memberSize(c.bytes.length), TAR_END))
  let at = 0
  for (const { id, bytes } of chunks) {
    writeHeader(tar, at, id, bytes.length)
    tar.set(bytes, at + BLOCK)
    at += memberSize(bytes.length)
  }
  return tar
}

/** `tar` in zstd frames of `step` bytes, padded. */
export async function makeVolume(tar: Buffer, step = tar.length): Promise<Buffer> {
  const frames: Buffer[] = []
  for (let at = 0; at < tar.length; at += step) frames.push(await compressFrame(tar.subarray(at, at + step)))
  return padded(Buffer.concat(frames))
}

export function padded(frames: Buffer): Buffer {
  return Buffer.concat([frames, padding(frames.length)])
}

/** A skippable frame of this kind (0 to 15) with this content. */
export function skippable(content: Uint8Array, kind = 0): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a50 + kind, 0)
  head.writeUInt32LE(content.length, 4)
  return Buffer.concat([head, content])
}
