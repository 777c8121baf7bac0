// The ports of an archive. Holding one is holding a capability: a backup process gets a reader of what it may read and a
// writer, only expiry gets a remover. Stores: memory, directory, S3; wrappers change one thing each.
//
// Faults: `conflict`, `unavailable` (worth a retry), `not-found` (the container itself is missing), `refused` (no right),
// `tampered` (the store answered with other bytes than it was sent). Absence of an object is `null`, never an error.

import type { Body, Spool } from "./body.ts"

export interface ObjectInfo {
  /** Name within the archive: segments joined by `/`, none empty, no leading or trailing `/`. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** When the store says that the object arrived. */
  readonly arrived: Date
}

/** One stored version of an object, newest first in listings; a store without versions has one each. */
export interface ObjectVersion extends ObjectInfo {
  /** The store's name for the version; `""` where it has none. */
  readonly version: string
  /** True for a mark that hides earlier versions; it has no bytes. */
  readonly deleted: boolean
}

export interface ReadOptions {
  /** First byte, 0 unless given. */
  readonly start?: number
  /** One past the last byte; the end unless given. */
  readonly end?: number
  /** A version from `versions`; the current one unless given. */
  readonly version?: string
}

export interface ListOptions {
  /** Names up to and with this one are not wanted: a store may leave them out, and need not. */
  readonly after?: string
}

export interface ArchiveReader {
  /** How the store is named to people; no secrets in it. */
  readonly url: string
  /** `null` means the object is certainly absent; anything uncertain throws. */
  stat(name: string, signal: AbortSignal): Promise<ObjectInfo | null>
  /** The bytes in pieces, each valid until the next is asked for; throws `not-found` if absent, `unavailable` if the body ends before its length. */
  read(name: string, signal: AbortSignal, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** All objects whose name starts with `prefix`, in order of name (bytes of UTF-8). */
  list(prefix: string, signal: AbortSignal, options?: ListOptions): AsyncIterable<ObjectInfo>
  /** All versions of exactly `name`, newest first. */
  versions(name: string, signal: AbortSignal): Promise<readonly ObjectVersion[]>
}

export interface ArchiveWriter {
  readonly url: string
  /**
   * Stores `body` under `name`, whole or not at all, and durably once it returns. Never overwrites: an existing name
   * throws `conflict` and changes nothing. May be called concurrently.
   * @param sha256 of the body, hex; the store checks it where it can
   */
  create(name: string, body: Body, sha256: string, signal: AbortSignal): Promise<ObjectInfo>
  /** A file for a body to come, where `create` will find it cheapest to take; throws `unavailable` if there is no room. */
  spool(signal: AbortSignal): Promise<Spool>
}

export interface ArchiveRemover {
  /**
   * Removes the current object (in a versioned store, every version that the lock lets go). Absent is no error; an object
   * that stays is a `KeptError`.
   */
  remove(name: string, signal: AbortSignal): Promise<void>
}

/** What a store can promise; `init` refuses or degrades by it. */
export interface Promises {
  readonly conditionalCreate: boolean
  readonly versions: boolean
  /** Default retention in days and its mode; `null` without Object Lock. */
  readonly lock: { readonly mode: "COMPLIANCE" | "GOVERNANCE"; readonly days: number } | null
  /** What a person should know of this store, a sentence each. */
  readonly notices: readonly string[]
}

export interface Store extends ArchiveReader, ArchiveWriter, ArchiveRemover {
  /**
   * Finds out by trying, under names below `probe/` that it removes again where it can.
   */
  probe(signal: AbortSignal): Promise<Promises>
}
