// Archives and releases that are wrong on purpose, laid over the real ones: what lies below is never touched.

import type { RunReader } from "@backup-cloud/restore"
import type { ArchiveReader, ReadOptions } from "@backup-cloud/store"

type Reading = (name: string, signal: AbortSignal, options?: ReadOptions) => AsyncIterable<Uint8Array>

const withRead = (inner: ArchiveReader, read: Reading, more: Partial<ArchiveReader> = {}): ArchiveReader => ({
  url: inner.url,
  stat: (name, signal) => inner.stat(name, signal),
  list: (prefix, signal, options) => inner.list(prefix, signal, options),
  versions: (name, signal) => inner.versions(name, signal),
  read,
  ...more,
})

/** One bit of the object `damaged` is another, in every version of it. */
export function flipping(inner: ArchiveReader, damaged: string): ArchiveReader {
  return withRead(inner, async function* (name, signal, options) {
    let flipped = name !== damaged
    for await (const piece of inner.read(name, signal, options)) {
      if (flipped || piece.length === 0) yield piece
      else {
        const changed = Buffer.from(piece)
        const at = changed.length >> 1
        changed[at] = (changed[at] ?? 0) ^ 1
        flipped = true
        yield changed
      }
    }
  })
}

/** The object `hidden` is not there, and never was. */
export function hiding(inner: ArchiveReader, hidden: string): ArchiveReader {
  const gone = `${hidden}.hidden`
  const other = (name: string): string => (name === hidden ? gone : name)
  return withRead(inner, (name, signal, options) => inner.read(other(name), signal, options), {
    stat: async (name, signal) => (name === hidden ? null : await inner.stat(name, signal)),
    versions: async (name, signal) => (name === hidden ? [] : await inner.versions(name, signal)),
  })
}

/** The passphrase of one object is another. */
export function wrongSecret(inner: RunReader["secrets"], run: string, base: string): RunReader["secrets"] {
  return {
    passphraseFor(ofRun, ofBase) {
      const passphrase = inner.passphraseFor(ofRun, ofBase)
      if (passphrase === null || ofRun !== run || ofBase !== base) return passphrase
      return `${passphrase.startsWith("0") ? "1" : "0"}${passphrase.slice(1)}`
    },
  }
}
