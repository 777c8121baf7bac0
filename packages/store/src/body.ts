// Bodies on their way into a store: pieces in memory, or a spool, a file that takes up what is too large for that.

import { createHash, randomUUID } from "node:crypto"
import { type FileHandle, open, unlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileFault } from "./directory-files.ts"

/** A file for one body, empty at first. Whoever opens it disposes of it, whether or not the body was stored. */
export interface Spool extends AsyncDisposable {
  /** Open for reading and writing. The body is all that is in it. */
  readonly file: FileHandle
  /** Where it can be linked from; `null` for one that has no name and so leaves nothing behind, whatever happens. */
  readonly path: string | null
}

export type Body = readonly Uint8Array[] | Spool

/** Bytes that are read from a spool at once. */
const PIECE = 1 << 20

export function isSpool(body: Body): body is Spool {
  return "file" in body
}

/** A spool without a name in the system's folder for temporary files. */
export async function temporarySpool(): Promise<Spool> {
  const path = join(tmpdir(), `backup-cloud-${randomUUID()}`)
  const file = await open(path, "wx+", 0o600)
  await unlink(path)
  return { file, path: null, [Symbol.asyncDispose]: () => file.close() }
}

/**
 * Why nothing more can be written into a spool, as a fault that names the object; `null` if it can. Asked when a program that
 * writes into it has failed, which does not say why.
 */
export async function spoolFault(spool: Spool, name: string): Promise<unknown> {
  try {
    await spool.file.appendFile(Buffer.alloc(PIECE))
    return null
  } catch (error) {
    return fileFault(name, error, spool.path === null ? "the folder for temporary files (TMPDIR)" : "the archive")
  }
}

/** Bytes. */
export async function bodyLength(body: Body): Promise<number> {
  if (isSpool(body)) return (await body.file.stat()).size
  return body.reduce((sum, piece) => sum + piece.length, 0)
}

/** The body from its start. A piece is valid until the next one is asked for. */
export async function* bodyPieces(body: Body): AsyncGenerator<Uint8Array, void, undefined> {
  if (!isSpool(body)) {
    yield* body
    return
  }
  const buffer = Buffer.allocUnsafeSlow(PIECE)
  for (let at = 0; ; ) {
    const { bytesRead } = await body.file.read(buffer, 0, PIECE, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** SHA-256, hex. */
export async function bodyDigest(body: Body): Promise<string> {
  const hash = createHash("sha256")
  for await (const piece of bodyPieces(body)) hash.update(piece)
  return hash.digest("hex")
}
