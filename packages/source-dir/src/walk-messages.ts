// What the walker's thread is told and what it tells.

import type { Fault } from "@backup-cloud/format"
import type { Rows } from "./rows.ts"

/** The walker's `workerData`. */
export interface WalkOrder {
  /** Byte string. */
  readonly root: string
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly oneFileSystem: boolean
  /** One 32-bit number: how many more batches may be sent. The reader adds to it for each batch it is done with. */
  readonly credits: SharedArrayBuffer
}

export type WalkMessage =
  /** Comes first. Byte string, links followed. */
  | { readonly type: "root"; readonly root: string }
  | { readonly type: "rows"; readonly rows: Rows }
  | { readonly type: "end" }
  | {
      readonly type: "failed"
      readonly fault: Fault
      readonly message: string
      readonly hint: string
      readonly cause: unknown
    }
