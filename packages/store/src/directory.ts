// An archive in a directory: a disk, a network share. An object is a file, written and synced under a temporary name in
// the archive's own hidden folder, then linked to its name, which fails where the name is taken, then the folder is
// synced. So an object is there whole or not at all, also after a crash.
//
// Not promised: nothing here stops another program, or root, from changing or deleting files; there are no earlier
// versions; and the digest of a body is not checked again, since no network lies between. Where the file system has no
// hard links, two processes that create one name at one moment can overwrite each other (`probe` finds it out).

import { constants } from "node:fs"
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, rmdir, unlink } from "node:fs/promises"
import { dirname, join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import { type Body, bodyPieces, isSpool, type Spool } from "./body.ts"
import { rangeOf } from "./bytes.ts"
import { codeOf, fileFault, isAbsent, openArchiveFile, parentsOf, syncDirectory } from "./directory-files.ts"
import { listDirectory } from "./directory-list.ts"
import { checkDigest, checkName } from "./names.ts"
import type { ObjectInfo, ObjectVersion, Promises, ReadOptions, Store } from "./ports.ts"

/** Files being written. All names of objects are without a leading dot, so none can meet it. */
const INCOMING = ".incoming"
/** Pieces that `read` yields, in bytes: large enough that the calls do not count. */
const PIECE = 1 << 20
/** Age after which a temporary file is taken to be left over from a crash, by the clock of the file system. */
const STALE = 86_400_000

interface OwnSpool extends Spool {
  readonly path: string
}

/** @param path of the directory, which must exist; it may be a symbolic link, nothing within may */
export function directoryStore(path: string): Store {
  const url = path
  const incoming = join(path, INCOMING)
  let swept = false

  const absent = async (): Promise<void> => {
    // An absent object is only certain if the archive itself is there: a disk may not be mounted.
    await lstat(path).catch((cause: unknown) => {
      throw fileFault(path, cause)
    })
  }

  const stat = async (name: string, signal: AbortSignal): Promise<ObjectInfo | null> => {
    signal.throwIfAborted()
    checkName(name)
    try {
      await parentsOf(path, name)
      const found = await lstat(join(path, name))
      if (found.isDirectory()) return null
      if (!found.isFile()) throw new BackupError("refused", `${name} is not a regular file`)
      return { name, size: found.size, arrived: found.mtime }
    } catch (error) {
      if (!isAbsent(error)) throw fileFault(name, error)
      await absent()
      return null
    }
  }

  /** A new file in the hidden folder, open for writing. The number makes it unique; no other sense in the name. */
  const temporary = async (label: string): Promise<{ file: string; handle: FileHandle }> => {
    for (let number = 0; ; number++) {
      const file = join(incoming, `${label}-${number}`)
      try {
        return { file, handle: await open(file, "wx+", 0o644) }
      } catch (error) {
        if (codeOf(error) === "ENOENT") await mkdir(incoming).catch(unlessThere)
        else if (codeOf(error) !== "EEXIST") throw error
      }
    }
  }

  const sweep = async (now: number): Promise<void> => {
    swept = true
    for (const base of await readdir(incoming)) {
      const file = join(incoming, base)
      const left = await lstat(file).catch(() => null)
      if (left !== null && left.isFile() && now - left.mtimeMs > STALE) await unlink(file).catch(() => undefined)
    }
  }

  /** A spool in the hidden folder, from where it can be linked. */
  const ownSpool = async (label: string): Promise<OwnSpool> => {
    const { file, handle } = await temporary(label)
    return {
      ...{ file: handle, path: file },
      async [Symbol.asyncDispose]() {
        await handle.close()
        await unlink(file).catch(() => undefined)
      },
    }
  }

  const spool = async (signal: AbortSignal): Promise<Spool> => {
    signal.throwIfAborted()
    await absent()
    return await ownSpool("spool").catch((error: unknown) => {
      throw fileFault(incoming, error)
    })
  }

  const isOwn = (body: Body): body is OwnSpool => isSpool(body) && body.path !== null && dirname(body.path) === incoming

  const create = async (name: string, body: Body, sha256: string, signal: AbortSignal): Promise<ObjectInfo> => {
    signal.throwIfAborted()
    checkName(name)
    checkDigest(name, sha256)
    await absent()
    if ((await stat(name, signal)) !== null) throw new BackupError("conflict", `${name} exists already`)
    try {
      await using copies = new AsyncDisposableStack()
      const from = isOwn(body) ? body : copies.use(await ownSpool(sha256.slice(0, 16)))
      if (from !== body) await from.file.writeFile(bodyPieces(body))
      const info = await synced(from.file, name)
      signal.throwIfAborted()
      await makeParents(path, name)
      await place(from.path, join(path, name))
      await syncDirectory(dirname(join(path, name)))
      if (!swept) await sweep(info.arrived.getTime())
      return info
    } catch (error) {
      signal.throwIfAborted()
      if (codeOf(error) === "EEXIST") throw new BackupError("conflict", `${name} exists already`, { cause: error })
      throw fileFault(name, error)
    }
  }

  const remove = async (name: string, signal: AbortSignal): Promise<void> => {
    if ((await stat(name, signal)) === null) return
    try {
      await unlink(join(path, name))
      await syncDirectory(dirname(join(path, name)))
    } catch (error) {
      if (!isAbsent(error)) throw fileFault(name, error)
    }
  }

  return {
    url,
    stat,
    create,
    remove,
    spool,

    async *read(name: string, signal: AbortSignal, range: ReadOptions = {}): AsyncGenerator<Uint8Array> {
      if ((range.version ?? "") !== "" || (await stat(name, signal)) === null) {
        throw new BackupError("not-found", `${name} is not there`)
      }
      try {
        await using handle = await openArchiveFile(join(path, name), constants.O_RDONLY)
        const { start, end } = rangeOf(name, (await handle.stat()).size, range)
        const piece = Buffer.allocUnsafeSlow(Math.min(PIECE, end - start))
        for (let at = start; at < end; ) {
          signal.throwIfAborted()
          const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, end - at), at)
          if (bytesRead === 0) throw new BackupError("unavailable", `${name} became shorter while it was read`)
          at += bytesRead
          yield piece.subarray(0, bytesRead)
        }
      } catch (error) {
        signal.throwIfAborted()
        throw fileFault(name, error)
      }
    },

    async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ObjectInfo> {
      await absent()
      yield* listDirectory(path, prefix, signal)
    },

    async versions(name: string, signal: AbortSignal): Promise<readonly ObjectVersion[]> {
      const info = await stat(name, signal)
      return info === null ? [] : [{ ...info, version: "", deleted: false }]
    },

    async probe(signal: AbortSignal): Promise<Promises> {
      await absent()
      const conditionalCreate = await linksWork(path, signal)
      const notices = [
        "A directory cannot refuse deletion or overwriting by whoever may write to it: keep another copy.",
      ]
      if (!conditionalCreate) {
        notices.push("This file system has no hard links: two programs that write at once could overwrite an object.")
      }
      return { conditionalCreate, versions: false, lock: null, notices }
    },
  }

  async function linksWork(root: string, signal: AbortSignal): Promise<boolean> {
    const from = await temporary("probe")
    const to = join(root, "probe", `link-${from.file.slice(from.file.lastIndexOf("-") + 1)}`)
    await from.handle.close()
    try {
      signal.throwIfAborted()
      await mkdir(dirname(to)).catch(unlessThere)
      await unlink(to).catch(() => undefined)
      await link(from.file, to)
      return true
    } catch (error) {
      if (hasNoLinks(error)) return false
      throw fileFault(root, error)
    } finally {
      await unlink(from.file)
      await unlink(to).catch(() => undefined)
      await rmdir(dirname(to)).catch(() => undefined)
    }
  }
}

/** Syncs a finished file; its own time is the time of arrival. */
async function synced(file: FileHandle, name: string): Promise<ObjectInfo> {
  await file.sync()
  const { size, mtime } = await file.stat()
  return { name, size, arrived: mtime }
}

/** Makes the folders above `name` that are not there, each durably. */
async function makeParents(root: string, name: string): Promise<void> {
  let folder = root
  for (const segment of name.split("/").slice(0, -1)) {
    const parent = folder
    folder = join(folder, segment)
    try {
      await mkdir(folder)
      await syncDirectory(parent)
    } catch (error) {
      unlessThere(error)
    }
  }
}

/** Gives the finished file its name; fails with EEXIST, changing nothing, where that is taken. */
async function place(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (!hasNoLinks(error)) throw error
    // rename(2) would overwrite. Within this moment another process could take the name: see `probe`.
    const taken = await lstat(to).catch(() => null)
    if (taken !== null) throw Object.assign(new Error(`${to} is there`, { cause: error }), { code: "EEXIST" })
    await rename(from, to)
  }
}

function hasNoLinks(error: unknown): boolean {
  return ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(codeOf(error))
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== "EEXIST") throw error
}
