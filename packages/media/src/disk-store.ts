// The directory store of a disk, whose faults say that it is the disk that failed: a sync works with two stores.

import { BackupError } from "@backup-cloud/format"
import { directoryStore, type ListOptions, type ObjectInfo, type ReadOptions, type Store } from "@backup-cloud/store"
import { diskFault } from "./disk-faults.ts"

/** @param path where the disk is mounted */
export function diskStore(path: string): Store {
  const inner = directoryStore(path)
  const call = async <T>(name: string, work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw ofDisk(path, name, error)
    }
  }
  async function* each<T>(name: string, items: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* items
    } catch (error) {
      throw ofDisk(path, name, error)
    }
  }
  return {
    url: path,
    stat: (name, signal) => call(name, inner.stat(name, signal)),
    versions: (name, signal) => call(name, inner.versions(name, signal)),
    create: (name, body, sha256, signal) => call(name, inner.create(name, body, sha256, signal)),
    remove: (name, signal) => call(name, inner.remove(name, signal)),
    spool: (signal) => call("", inner.spool(signal)),
    probe: (signal) => call("", inner.probe(signal)),
    read: (name: string, signal: AbortSignal, options?: ReadOptions): AsyncIterable<Uint8Array> =>
      each(name, inner.read(name, signal, options)),
    list: (prefix: string, signal: AbortSignal, options?: ListOptions): AsyncIterable<ObjectInfo> =>
      each(prefix, inner.list(prefix, signal, options)),
  }
}

/** A fault that the system caused, told anew; any other as it is. */
function ofDisk(path: string, name: string, error: unknown): unknown {
  const cause = error instanceof BackupError ? error.cause : undefined
  if (!(cause instanceof Error && "code" in cause) || ["ENOENT", "ENOTDIR", "EEXIST"].includes(String(cause.code)))
    return error
  return diskFault(`${path}/${name}`, cause)
}
