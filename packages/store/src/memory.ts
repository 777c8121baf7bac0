// A store in memory, for tests and as the shortest reading of the ports. It keeps every promise of them but that what
// it holds outlives the process, and, unlike a directory, checks the digest of each body it is given.

import { BackupError } from "@backup-cloud/format"
import { bodyDigest, bodyPieces, temporarySpool } from "./body.ts"
import { rangeOf } from "./bytes.ts"
import { checkDigest, checkName, compareNames } from "./names.ts"
import type { ObjectInfo, ObjectVersion, Promises, ReadOptions, Store } from "./ports.ts"

const PIECE = 65_536

export function memoryStore(options: { readonly now: () => Date }): Store {
  const objects = new Map<string, { readonly info: ObjectInfo; readonly bytes: Uint8Array }>()
  return {
    url: "memory:",

    async stat(name: string, signal: AbortSignal): Promise<ObjectInfo | null> {
      signal.throwIfAborted()
      checkName(name)
      return objects.get(name)?.info ?? null
    },

    async *read(name: string, signal: AbortSignal, range: ReadOptions = {}): AsyncGenerator<Uint8Array> {
      checkName(name)
      const object = objects.get(name)
      if (object === undefined || (range.version ?? "") !== "")
        throw new BackupError("not-found", `${name} is not there`)
      const { start, end } = rangeOf(name, object.bytes.length, range)
      for (let at = start; at < end; at += PIECE) {
        signal.throwIfAborted()
        yield object.bytes.slice(at, Math.min(at + PIECE, end))
      }
    },

    async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
      const found = [...objects.values()].map((object) => object.info).filter((info) => info.name.startsWith(prefix))
      for (const info of found.sort((a, b) => compareNames(a.name, b.name))) {
        signal.throwIfAborted()
        yield info
      }
    },

    async versions(name: string, signal: AbortSignal): Promise<readonly ObjectVersion[]> {
      signal.throwIfAborted()
      checkName(name)
      const info = objects.get(name)?.info
      return info === undefined ? [] : [{ ...info, version: "", deleted: false }]
    },

    async create(name, body, sha256, signal): Promise<ObjectInfo> {
      signal.throwIfAborted()
      checkName(name)
      checkDigest(name, sha256)
      if (objects.has(name)) throw new BackupError("conflict", `${name} exists already`)
      if ((await bodyDigest(body)) !== sha256)
        throw new BackupError("tampered", `${name}: the body does not have its SHA-256`)
      const pieces: Uint8Array[] = []
      for await (const piece of bodyPieces(body)) pieces.push(Uint8Array.from(piece))
      const bytes = new Uint8Array(Buffer.concat(pieces))
      // Once more: the body was read meanwhile, and of two creates at one moment one must lose.
      if (objects.has(name)) throw new BackupError("conflict", `${name} exists already`)
      const info = { name, size: bytes.length, arrived: options.now() }
      objects.set(name, { info, bytes })
      return info
    },

    spool: temporarySpool,

    async remove(name: string, signal: AbortSignal): Promise<void> {
      signal.throwIfAborted()
      checkName(name)
      objects.delete(name)
    },

    async probe(): Promise<Promises> {
      const notices = ["A store in memory is gone when the process ends."]
      return { conditionalCreate: true, versions: false, lock: null, notices }
    },
  }
}
