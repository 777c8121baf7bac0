// Entries of a source that nobody here wrote, looked at before they are kept: a catalogue that is out of order, or has a
// path that no catalogue can hold, would be found out only when it is restored.

import {
  BackupError,
  type CatalogueEntry,
  encodeEntry,
  escapeControl,
  OrderCheck,
  parseEntryLine,
  patterns,
  type Source,
  type SourceEntry,
} from "@backup-cloud/format"

/** Stands for content, which is not looked at here. */
const ANY_CONTENT = { size: 0, sha256: "0".repeat(64), chunks: [] }

/** The same source; `entries` throws `usage`, which ends the run, for an entry that cannot be kept as it is. */
export function checked(source: Source): Source {
  const { kind, identity } = source
  if (!patterns.name.test(kind)) throw wrong(kind, "its kind is no lower-case name")
  return {
    kind,
    identity,
    async *entries(signal) {
      const order = new OrderCheck()
      for await (const batch of source.entries(signal)) {
        accepted(kind, () => {
          for (const entry of batch) accept(entry, order)
        })
        yield batch
      }
      accepted(kind, () => {
        order.end()
      })
    },
  }
}

function accept(entry: SourceEntry, order: OrderCheck): void {
  const { type, size, content, attributes } = entry
  const read = content !== null
  const texts = [entry.path, entry.link ?? "", ...[...attributes].flat()]
  if (!texts.every(isBytes)) return bad(entry, "characters that are no bytes: toByteString makes those of text")
  if (read && type !== "f") return bad(entry, "content of what is no file")
  if (!read && type === "f" && !attributes.has("error")) return bad(entry, "a file without content or `error`")
  if (size !== null && !(Number.isSafeInteger(size) && size >= 0)) return bad(entry, "size")
  if (size === null && content?.kind !== "stream") return bad(entry, "unknown size of what is no stream")
  const kept: CatalogueEntry = { ...entry, ...(read ? ANY_CONTENT : { size: size ?? 0, sha256: null, chunks: [] }) }
  const line = encodeEntry(kept).slice(0, -1)
  order.accept(parseEntryLine(line, []), line)
}

const isBytes = (text: string): boolean => /^[\0-\xff]*$/.test(text)

function accepted(kind: string, look: () => void): void {
  try {
    look()
  } catch (error) {
    throw error instanceof BackupError ? wrong(kind, error.message) : error
  }
}

function bad(entry: SourceEntry, why: string): never {
  throw new BackupError("usage", `${escapeControl(entry.path)}: ${why}`)
}

function wrong(kind: string, why: string): BackupError {
  return new BackupError(
    "usage",
    `the source of kind ${escapeControl(kind)} gives what no catalogue can hold: ${why}`,
    {
      hint: "mend the source: docs/writing-a-source.md has the contract",
    },
  )
}
