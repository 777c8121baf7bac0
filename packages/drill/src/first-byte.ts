// A target that tells when the first content came.

import type { Target } from "@backup-cloud/format"

/** The same target; `tell` is called once, before the first content of a file is written. */
export function firstByte(inner: Target, tell: () => void): Target {
  let told = false
  return {
    begin: (what, signal) => inner.begin(what, signal),
    has: (entry, signal) => inner.has(entry, signal),
    async write(entry, offset, bytes, signal) {
      if (!told) tell()
      told = true
      await inner.write(entry, offset, bytes, signal)
    },
    read: (entry, signal) => inner.read(entry, signal),
    commit: (entry, signal) => inner.commit(entry, signal),
    discard: (entry) => inner.discard(entry),
    make: (entry, signal) => inner.make(entry, signal),
    finish: (signal) => inner.finish(signal),
  }
}
