// Files in the making: each under a number of its own in the staging folder, 0600, until its digest matched. Calls are
// synchronous: a small file takes seven of some microseconds each, and a promise for every one would cost more than it.

import * as fs from "node:fs"
import type { CatalogueEntry } from "@backup-cloud/format"
import { native } from "./target-place.ts"

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = fs.constants
const MOST_OPEN = 64
const ZEROS = Buffer.alloc(4096)

interface Staged {
  readonly file: string
  fd: number | null
}

export class Staging {
  readonly #folder: string
  readonly #staged = new Map<string, Staged>()
  /** Those with an open file, longest unused first. */
  readonly #open = new Set<Staged>()
  #count = 0

  /** @param folder byte string, absolute, an empty directory of our own */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** The open file of an entry, made at its first use. */
  fd(path: string): number {
    let staged = this.#staged.get(path)
    if (staged === undefined) {
      staged = { file: `${this.#folder}/${(this.#count++).toString(16)}`, fd: null }
      this.#staged.set(path, staged)
      staged.fd = fs.openSync(native(staged.file), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600)
    } else if (staged.fd === null) {
      staged.fd = fs.openSync(native(staged.file), O_RDWR | O_NOFOLLOW)
    } else {
      this.#open.delete(staged)
    }
    this.#open.add(staged)
    if (this.#open.size > MOST_OPEN) for (const oldest of this.#open) return (this.#close(oldest), staged.fd)
    return staged.fd
  }

  #close(staged: Staged): void {
    this.#open.delete(staged)
    if (staged.fd !== null) fs.closeSync(staged.fd)
    staged.fd = null
  }

  /** Closes the entry's file; its path, and nothing is known of it here any more. */
  release(path: string): string {
    const staged = this.#staged.get(path)
    if (staged === undefined) throw new RangeError("nothing is staged under this name")
    this.#close(staged)
    this.#staged.delete(path)
    return staged.file
  }

  holds(path: string): boolean {
    return this.#staged.has(path)
  }

  /** Writes all of `bytes`; of a sparse file, not the blocks of zeros. */
  write(entry: CatalogueEntry, offset: number, bytes: Uint8Array): void {
    const fd = this.fd(entry.path)
    if (!entry.attributes.has("sparse")) {
      writeAll(fd, bytes, offset)
      return
    }
    // Runs of blocks that hold anything, in as few calls as there are runs.
    let start = -1
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + ZEROS.length - ((offset + at) % ZEROS.length))
      const empty = ZEROS.compare(bytes, at, end, 0, end - at) === 0
      if (empty && start >= 0) writeAll(fd, bytes.subarray(start, at), offset + start)
      if (empty) start = -1
      else if (start < 0) start = at
      at = end
    }
    if (start >= 0) writeAll(fd, bytes.subarray(start), offset + start)
  }

  closeAll(): void {
    for (const staged of [...this.#open]) this.#close(staged)
  }
}

function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done, bytes.length - done, offset + done)
}
