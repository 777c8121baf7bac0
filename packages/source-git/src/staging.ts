// Files of a restore, staged in a folder of this machine until they are pushed. A file has its name once it is whole, so an
// interrupted restore is gone on with.

import { createHash } from "node:crypto"
import { mkdir, open, rename, rm, stat, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { BackupError, type CatalogueEntry, escapeControl, fromByteString } from "@backup-cloud/format"
import { readLocal } from "./entries.ts"

const PART = ".part"

export class Staging {
  readonly #folder: string
  #top = ""

  /** @param folder absolute; made if it is not there */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** @param what is restored, any text: what was staged of the same before is gone on with */
  async begin(what: string): Promise<void> {
    this.#top = createHash("sha256").update(what).digest("hex").slice(0, 16)
    await guarded(this.#folder, () => mkdir(join(this.#folder, this.#top, "files"), { recursive: true, mode: 0o700 }))
  }

  /** Of this restore; `files` in it holds what is staged. */
  get path(): string {
    if (this.#top === "") throw new RangeError("the restore has not begun")
    return join(this.#folder, this.#top)
  }

  /** Where an entry is staged: paths of a catalogue never lead out of a folder. */
  file({ path }: Pick<CatalogueEntry, "path">): string {
    return join(this.path, "files", fromByteString(path))
  }

  async has(entry: CatalogueEntry, signal: AbortSignal): Promise<boolean> {
    const there = await stat(this.file(entry)).catch(() => null)
    if (there?.size !== entry.size) return false
    const digest = createHash("sha256")
    for await (const piece of readLocal(this.file(entry), entry.size)) {
      signal.throwIfAborted()
      digest.update(piece)
    }
    return digest.digest("hex") === entry.sha256
  }

  async write(entry: CatalogueEntry, offset: number, bytes: Uint8Array): Promise<void> {
    const file = `${this.file(entry)}${PART}`
    await guarded(file, async () => {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      // Not cut off when it is opened again: pieces come one by one.
      await writeFile(file, "", { flag: "a", mode: 0o600 })
      await using handle = await open(file, "r+")
      await handle.write(bytes, 0, bytes.length, offset)
    })
  }

  async *read(entry: CatalogueEntry): AsyncGenerator<Uint8Array> {
    const file = this.file(entry)
    const part = await stat(`${file}${PART}`).catch(() => null)
    yield* readLocal(part === null ? file : `${file}${PART}`, entry.size)
  }

  async commit(entry: CatalogueEntry): Promise<void> {
    const file = this.file(entry)
    await guarded(file, async () => {
      if (entry.size > 0) {
        await rename(`${file}${PART}`, file)
        return
      }
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await writeFile(file, "", { mode: 0o600 })
    })
  }

  async discard(entry: CatalogueEntry): Promise<void> {
    await rm(`${this.file(entry)}${PART}`, { force: true })
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}

async function guarded(path: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : ""
    throw new BackupError("unavailable", `${escapeControl(path)}: cannot be written${code}; nothing was pushed`, {
      cause,
      hint: "make room, or stage elsewhere, and run the same restore again: it goes on",
    })
  }
}
