// What the main thread and its workers say to each other. Content lies in slots, memory that all threads share and the main
// thread gives out by number; frames take the place of the content that they were made of.

import { BackupError, type Fault } from "@backup-cloud/format"
import type { SealedTo } from "@backup-cloud/openpgp"

/** Bytes of a slot: twice the longest chunk, so that a tail that was carried over leaves room to read. */
export const SLOT = 8_388_608

/**
 * Where content begins in a slot. A frame may be longer than what it was made of, by its tar headers and its own; those of a
 * slot full of incompressible chunks fit in here.
 */
export const HEAD = 65_536

/**
 * Where bytes of streams begin in a slot: before them is room for what is left of the piece before, and behind them as much
 * as that for more.
 */
export const STREAM_START = SLOT / 2

/** Bytes of one stream in a slot, behind those of the part before. */
export interface StreamPart {
  /** Position in the job's list of files. */
  readonly file: number
  readonly length: number
  /** `more` follows in the next slot; `end`: it was whole; otherwise the word that says why it is not. */
  readonly then: "more" | "end" | { readonly error: string }
}

/** A file to read, as it was listed. `file` is a byte string. */
export interface FileToRead {
  readonly file: string
  readonly size: number
}

/** What `fstat` said when the content was read, in the forms of the catalogue. */
export interface ReadStat {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: string
  readonly ctime: string
  readonly ino: string
}

/** How a file ended. */
export interface FileEnd {
  /** Hex; `null`: there is no content, `error` says why, and its chunks so far are void; `LATER`: as the part says. */
  readonly sha256: string | null
  readonly size: number
  readonly error: string | null
  readonly stat: ReadStat | null
}

/** In the place of a digest that comes when the piece is packed. */
export const LATER = "later"

/**
 * Content of a long file that has yet to be hashed. Whoever packs the pieces of a job does it, in their order: one thread is
 * too slow for all that is done with each byte.
 */
export interface Unhashed {
  /** Position in the slot. */
  readonly start: number
  readonly end: number
  /** The digest is due, or, of a file that failed, the state is to be forgotten. */
  readonly last: boolean
}

/** A file's part of a piece: so many of the piece's chunks, and its end if it ends here. */
export interface FilePart {
  /** Position in the job's list of files. */
  readonly file: number
  readonly chunks: number
  readonly end: FileEnd | null
  /** `null` of a file that is hashed where it is read. */
  readonly unhashed: Unhashed | null
}

/** Bytes that were read, cut and named. Chunk `i` is `ids[i]`, at `offsets[i]` of the slot, `lengths[i]` long. */
export interface Piece {
  readonly slot: number
  readonly ids: readonly string[]
  readonly offsets: readonly number[]
  readonly lengths: readonly number[]
  readonly parts: readonly FilePart[]
  /** No piece of the job follows. */
  readonly last: boolean
}

/** A zstd frame of whole tar members: the next `count` of the chunks that were to be packed. */
export interface Frame {
  /** Where it lies in the slot; or the frame itself, if there was no room for it. */
  readonly place: { readonly start: number; readonly end: number } | Uint8Array<ArrayBuffer>
  readonly tarBytes: number
  readonly count: number
}

/** Of a whole object. */
export interface Digest {
  /** Bytes. */
  readonly length: number
  /** Hex. */
  readonly sha256: string
}

export interface WorkerSetup {
  /** 32 bytes. */
  readonly chunkKey: Uint8Array
  readonly cutTable: Uint32Array
  readonly slots: readonly SharedArrayBuffer[]
}

/** Chunks in a slot, by parallel lists. */
export interface Chunks {
  readonly slot: number
  readonly ids: readonly string[]
  readonly offsets: readonly number[]
  readonly lengths: readonly number[]
}

export type ToWorker =
  | { readonly type: "scan"; readonly job: number; readonly files: readonly FileToRead[] }
  /** A slot for the job's next piece. */
  | { readonly type: "slot"; readonly job: number; readonly slot: number }
  | { readonly type: "cancel"; readonly job: number }
  /** Bytes of streams to cut and name: one job's in order. */
  | {
      readonly type: "cut"
      readonly job: number
      readonly slot: number
      readonly parts: readonly StreamPart[]
      readonly last: boolean
    }
  /** @param unhashed of the slot, from files of the job `from` */
  | {
      readonly type: "pack"
      readonly job: number
      readonly chunks: Chunks
      readonly from: number
      readonly unhashed: readonly Unhashed[]
    }
  /** A sealed message in a file to read, check and hash. @param fd open until the answer has come */
  | { readonly type: "digest"; readonly job: number; readonly fd: number; readonly to: SealedTo }

export type FromWorker =
  | { readonly type: "piece"; readonly job: number; readonly piece: Piece }
  /** @param digests hex, one for each `last` */
  | {
      readonly type: "packed"
      readonly job: number
      readonly frames: readonly Frame[]
      readonly digests: readonly string[]
    }
  | { readonly type: "digested"; readonly job: number; readonly digest: Digest }
  | { readonly type: "failed"; readonly job: number; readonly error: unknown }

/** An error as another thread can have it, which gets no more than text of it otherwise. */
interface SentFault {
  readonly fault: Fault
  readonly message: string
  readonly hint: string | undefined
}

/** To be given to `receivedError` by the other thread. */
export function sentError(error: unknown): unknown {
  if (!(error instanceof BackupError)) return error
  return { fault: error.fault, message: error.message, hint: error.hint } satisfies SentFault
}

export function receivedError(sent: unknown): Error {
  if (sent instanceof Error) return sent
  if (typeof sent !== "object" || sent === null || !("fault" in sent)) {
    return new Error("a worker thread failed", { cause: sent })
  }
  const { fault, message, hint } = sent as SentFault
  return new BackupError(fault, message, hint === undefined ? {} : { hint })
}
