// Streams on their way to the workers: several are opened ahead, their bytes are put into slots in the order of the
// entries, and one slot is cut while the next is filled.

import { EntryError, inOrder, type OpenedContent, STREAMS_AHEAD, type StreamContent } from "@backup-cloud/format"
import { SLOT, STREAM_START, type StreamPart } from "./messages.ts"
import type { Slot } from "./piece.ts"
import type { Pool, ReadPiece } from "./pool.ts"

/** Slots that are being cut. */
const CUTTING = 2

interface Filled {
  readonly slot: Slot
  readonly parts: readonly StreamPart[]
  readonly last: boolean
}

/**
 * The pieces of `streams`, in order, as of files. Throws what a stream throws, but for `EntryError`.
 * @param onOpened told what is known of a stream once it is open, before its last piece
 * @param stop ends it with what has been read by then: there is no last piece
 */
export async function* feed(
  pool: Pool,
  streams: readonly StreamContent[],
  onOpened: (file: number, attributes: ReadonlyMap<string, string>) => void,
  stop: AbortSignal,
  signal: AbortSignal,
): AsyncGenerator<ReadPiece, void, undefined> {
  const cutting = pool.cutting()
  try {
    yield* inOrder(fill(pool, streams, onOpened, stop, signal), CUTTING, signal, ({ slot, parts, last }) =>
      cutting.cut(slot, parts, last),
    )
  } finally {
    cutting.end()
  }
}

async function* fill(
  pool: Pool,
  streams: readonly StreamContent[],
  onOpened: (file: number, attributes: ReadonlyMap<string, string>) => void,
  stop: AbortSignal,
  outer: AbortSignal,
): AsyncGenerator<Filled, void, undefined> {
  let slot = await pool.take()
  let used = STREAM_START
  let parts: StreamPart[] = []
  const open = async (stream: StreamContent, signal: AbortSignal): Promise<OpenedContent | EntryError> =>
    await stream.open(signal).catch(entryError)
  let file = -1
  let length = 0
  try {
    for await (const opened of inOrder(streams, STREAMS_AHEAD, AbortSignal.any([outer, stop]), open)) {
      file++
      length = 0
      let failed = opened instanceof EntryError ? opened : null
      if (!(opened instanceof EntryError)) {
        onOpened(file, opened.attributes)
        const bytes = opened.bytes[Symbol.asyncIterator]()
        try {
          for (;;) {
            const next = await bytes.next().catch(entryError)
            if (next instanceof EntryError) failed = next
            if (next instanceof EntryError || next.done === true) break
            for (let at = 0; at < next.value.length; ) {
              const count = Math.min(SLOT - used, next.value.length - at)
              slot.bytes.set(next.value.subarray(at, at + count), used)
              at += count
              used += count
              length += count
              if (used < SLOT) continue
              yield { slot, parts: [...parts, { file, length, then: "more" }], last: false }
              slot = await pool.take()
              used = STREAM_START
              parts = []
              length = 0
            }
          }
        } finally {
          await bytes.return?.()
        }
      }
      parts.push({ file, length, then: failed === null ? "end" : { error: failed.word } })
      length = 0
    }
  } catch (error) {
    if (!stop.aborted) throw error
    if (length > 0) parts.push({ file, length, then: "more" })
    yield { slot, parts, last: false }
    return
  }
  yield { slot, parts, last: true }
}

/** Lets an `EntryError` be a value, since it ends no more than its entry. */
function entryError(error: unknown): EntryError {
  if (error instanceof EntryError) return error
  throw error
}
