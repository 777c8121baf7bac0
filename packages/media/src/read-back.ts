// Reads a file from the disk itself, not from the memory of this machine: with O_DIRECT where the file system takes it, else
// after its pages were dropped from the cache (through dd, since Node.js has no posix_fadvise). So what the kernel holds of
// it is not what is compared.
//
// Not shown: that the bytes lie on the platter. The disk's own cache may answer; a scrub after it was unplugged asks the
// medium.

import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { constants } from "node:fs"
import { open } from "node:fs/promises"

/** How the bytes were read: past the cache, after it was dropped, or from it, where the system does neither. */
export type Through = "direct" | "dropped" | "cache"

const PIECE = 1 << 20

/** It is in every Node.js; the declarations of its library are those of browsers. */
declare const WebAssembly: { readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } }

/** Memory that begins at a page, as O_DIRECT wants it: that of WebAssembly does. */
export function pageAligned(): Buffer {
  return Buffer.from(new WebAssembly.Memory({ initial: PIECE / 65_536 }).buffer)
}

/** SHA-256 (hex) and length of `file`. @param buffer of `pageAligned`, used meanwhile. Throws what the system does. */
export async function readBack(
  file: string,
  buffer: Buffer,
  signal: AbortSignal,
): Promise<{ readonly sha256: string; readonly length: number; readonly through: Through }> {
  for (const through of ["direct", "dropped"] as const) {
    try {
      const from = through === "direct" || (await dropped(file)) ? through : "cache"
      return { ...(await digest(file, through === "direct" ? constants.O_DIRECT : 0, buffer, signal)), through: from }
    } catch (error) {
      const unknown = error instanceof Error && "code" in error && ["EINVAL", "ENOTSUP"].includes(String(error.code))
      if (through === "dropped" || !unknown) throw error
    }
  }
  throw new TypeError("unreachable")
}

async function digest(file: string, flags: number, buffer: Buffer, signal: AbortSignal) {
  const hash = createHash("sha256")
  await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | flags)
  let length = 0
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, length)
    hash.update(buffer.subarray(0, bytesRead))
    length += bytesRead
    // A short piece is the last: what follows it would not begin at a block.
    if (bytesRead < buffer.length) return { sha256: hash.digest("hex"), length }
  }
}

/** Drops the pages of a file that was synced; whether that could be asked for. */
async function dropped(file: string): Promise<boolean> {
  const child = spawn("dd", ["if=/dev/null", `of=${file}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0"], {
    stdio: "ignore",
  })
  try {
    const [code] = (await once(child, "close")) as [number | null]
    return code === 0
  } catch {
    return false
  }
}
