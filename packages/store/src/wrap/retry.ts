// Tries again what failed with `unavailable`, and nothing else. A create whose answer was lost may have taken effect: if
// the next try then meets an object of exactly the length it sent, and of its digest where this caller may read it, that
// is its own, and counts as success. (A backup process may not read what it seals, but there the name is its run's alone.)
// A read goes on at the byte, and a list at the name, where it broke off; what got that far earns the waits anew.

import { createHash } from "node:crypto"
import { type BackupError, isFault } from "@backup-cloud/format"
import { bodyLength } from "../body.ts"
import { compareNames } from "../names.ts"
import type { ListOptions, ObjectInfo, ReadOptions, Store } from "../ports.ts"

/** Resolves after `milliseconds`; rejects with the signal's reason as soon as it is aborted. */
export type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<void>

/** Waits in milliseconds that ride out a short outage or a throttled bucket: a good two minutes in all. */
export const standardWaits: readonly number[] = [200, 1_000, 3_000, 10_000, 30_000, 90_000]

/** @param waits before each further try, in milliseconds; as many tries more as there are waits */
export function retrying(inner: Store, waits: readonly number[], sleep: Sleep): Store {
  /** Waits before the next try, or throws `error` if there is none. */
  const next = async (error: unknown, tries: number, signal: AbortSignal): Promise<void> => {
    const wait = waits[tries]
    if (!isFault(error, "unavailable") || wait === undefined) throw error
    await sleep(wait, signal)
  }
  const persist = async <T>(signal: AbortSignal, attempt: (before: BackupError | null) => Promise<T>): Promise<T> => {
    let before: BackupError | null = null
    for (let tries = 0; ; tries++) {
      try {
        return await attempt(before)
      } catch (error) {
        await next(error, tries, signal)
        before = error as BackupError
      }
    }
  }
  /** Whether the object has this digest; also true where this caller has no right to read it, so that nobody can tell. */
  const hasDigest = async (name: string, sha256: string, signal: AbortSignal): Promise<boolean> => {
    const hash = createHash("sha256")
    try {
      for await (const piece of store.read(name, signal)) hash.update(piece)
    } catch (error) {
      if (isFault(error, "refused")) return true
      throw error
    }
    return hash.digest("hex") === sha256
  }
  const store: Store = {
    url: inner.url,
    stat: (name, signal) => persist(signal, () => inner.stat(name, signal)),
    versions: (name, signal) => persist(signal, () => inner.versions(name, signal)),
    remove: (name, signal) => persist(signal, () => inner.remove(name, signal)),
    probe: (signal) => persist(signal, () => inner.probe(signal)),
    spool: (signal) => inner.spool(signal),

    create: (name, body, sha256, signal) =>
      persist(signal, async (before) => {
        try {
          return await inner.create(name, body, sha256, signal)
        } catch (error) {
          if (before === null || !isFault(error, "conflict")) throw error
          const there = await store.stat(name, signal)
          if (there?.size === (await bodyLength(body)) && (await hasDigest(name, sha256, signal))) return there
          throw error
        }
      }),

    async *read(name: string, signal: AbortSignal, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
      let start = options.start ?? 0
      for (let tries = 0; ; tries++) {
        try {
          for await (const piece of inner.read(name, signal, { ...options, start })) {
            start += piece.length
            tries = 0
            yield piece
          }
          return
        } catch (error) {
          await next(error, tries, signal)
        }
      }
    },

    async *list(prefix: string, signal: AbortSignal, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
      let last: string | null = null
      for (let tries = 0; ; tries++) {
        try {
          for await (const info of inner.list(prefix, signal, last === null ? options : { after: last })) {
            if (last !== null && compareNames(info.name, last) <= 0) continue
            last = info.name
            tries = 0
            yield info
          }
          return
        } catch (error) {
          await next(error, tries, signal)
        }
      }
    },
  }
  return store
}
