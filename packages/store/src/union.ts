// Several copies of one archive read as one: the disks of a set, an archive and a disk, a disk and what was repaired of it.
// An object is read from the first that has it; what the others have of it are versions of it, so that a reader whose digest
// does not fit the first tries the next. Where a copy fails in the middle of an object, the next that has it goes on at that
// byte. Nothing can be written through it.

import { BackupError, isFault } from "@backup-cloud/format"
import { compareNames } from "./names.ts"
import type { ArchiveReader, ListOptions, ObjectInfo, ObjectVersion, ReadOptions } from "./ports.ts"

/**
 * @param copies in the order in which they are asked
 * @param missing called when none has an object that is to be read: true once another copy may have it now, and then they are
 * asked again. What it throws the reader throws.
 */
export function unionReader(
  copies: readonly ArchiveReader[],
  missing: (name: string, signal: AbortSignal) => Promise<boolean>,
): ArchiveReader {
  /** Which copies have the object. One that is not there just now, such as an unplugged disk, has nothing. */
  async function* holders(name: string, signal: AbortSignal): AsyncGenerator<[ArchiveReader, ObjectInfo]> {
    let failure: BackupError | null = null
    let found = false
    for (const copy of copies) {
      try {
        const info = await absentIsNull(copy.stat(name, signal))
        if (info === null) continue
        found = true
        yield [copy, info]
      } catch (error) {
        if (!isFault(error, "unavailable")) throw error
        failure ??= error
      }
    }
    // That none has it is only certain if all could be asked.
    if (!found && failure !== null) throw failure
  }
  const named = (version: string): [ArchiveReader, string] => {
    const [, index = "", own = ""] = /^([0-9]+)\/(.*)$/s.exec(version) ?? []
    const copy = copies[Number(index)]
    if (copy !== undefined && index !== "") return [copy, own]
    throw new BackupError("not-found", `${version} names no version`)
  }
  return {
    url: copies.map((copy) => copy.url).join(" and "),
    async stat(name: string, signal: AbortSignal): Promise<ObjectInfo | null> {
      for await (const [, info] of holders(name, signal)) return info
      return null
    },

    async *read(name: string, signal: AbortSignal, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
      const { version = "", ...range } = options
      if (version !== "") {
        const [copy, own] = named(version)
        yield* copy.read(name, signal, own === "" ? range : { ...range, version: own })
        return
      }
      let start = range.start ?? 0
      for (;;) {
        let failure: BackupError | null = null
        for await (const [copy] of holders(name, signal)) {
          try {
            for await (const piece of copy.read(name, signal, { ...range, start })) {
              start += piece.length
              yield piece
            }
            return
          } catch (error) {
            if (!isFault(error, "unavailable")) throw error
            failure ??= error
          }
        }
        if (failure !== null) throw failure
        if (!(await missing(name, signal))) throw new BackupError("not-found", `${name} is not there`)
      }
    },

    async *list(prefix: string, signal: AbortSignal, options?: ListOptions): AsyncGenerator<ObjectInfo> {
      const lists = copies.map((copy) => copy.list(prefix, signal, options)[Symbol.asyncIterator]())
      const next = async (list: AsyncIterator<ObjectInfo> | undefined): Promise<ObjectInfo | null> => {
        const step = await absentIsNull(list?.next() ?? Promise.resolve(null))
        return step === null || step.done === true ? null : step.value
      }
      try {
        const heads = await Promise.all(lists.map(next))
        for (;;) {
          let first: ObjectInfo | null = null
          for (const head of heads)
            if (head !== null && (first === null || compareNames(head.name, first.name) < 0)) first = head
          if (first === null) return
          yield first
          for (const [index, head] of heads.entries())
            if (head?.name === first.name) heads[index] = await next(lists[index])
        }
      } finally {
        for (const list of lists) await list.return?.()
      }
    },

    async versions(name: string, signal: AbortSignal): Promise<readonly ObjectVersion[]> {
      const all: ObjectVersion[] = []
      for (const [index, copy] of copies.entries())
        for (const each of (await absentIsNull(copy.versions(name, signal))) ?? [])
          all.push({ ...each, version: `${index}/${each.version}` })
      return all
    },
  }
}

/** A copy whose container is not there has nothing: it may be a disk that is not plugged in. */
async function absentIsNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (isFault(error, "not-found")) return null
    throw error
  }
}
