// What a run leaves for the next beside its catalogue: where the chunks lie of a file that it had not read to its end when it
// was stopped, so that the next reads it again and stores only the rest. A line a chunk, as in catalogues.

import { type ChunkRef, encodeChunkLine, parseChunkLine } from "@backup-cloud/format"

/** So that the message is one that every door opens: about 40 MiB. */
const MOST = 300_000

/** The first of them, of which there are more than one invocation of anything comes to. */
export function encodeUnfinished(chunks: readonly ChunkRef[]): Uint8Array {
  return Buffer.from(chunks.slice(0, MOST).map(encodeChunkLine).join(""))
}

/** Throws `tampered` for anything else than `encodeUnfinished` makes. */
export function decodeUnfinished(text: Uint8Array): readonly ChunkRef[] {
  const lines = Buffer.from(text).toString("latin1").split("\n")
  return lines.slice(0, -1).map(parseChunkLine)
}
