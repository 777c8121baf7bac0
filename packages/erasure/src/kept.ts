// What the administrator recorded, in a folder of their home: the text, and the sealed object that it became, by number. The
// administrator opens nothing in the archive, so without this folder no record can be said again. It names what must be
// forgotten: mode 0600 in a folder of mode 0700.

import { mkdir, open, readFile, rename } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"

interface KeptErasure {
  /** The record's one byte form. */
  readonly plain: Uint8Array
  /** The object as it was to be stored. */
  readonly sealed: Uint8Array
}

export interface KeptErasures {
  /** `null` if this home has not both of number `number`. */
  read(number: number): Promise<KeptErasure | null>
  /** Durably, replacing what was kept under this number. */
  write(number: number, kept: KeptErasure): Promise<void>
}

/** @param folder absolute; made when it is first needed */
export function keptErasures(folder: string): KeptErasures {
  const file = (number: number, ending: string): string =>
    join(folder, `${String(number).padStart(6, "0")}.json${ending}`)
  return {
    async read(number) {
      const plain = await readIfThere(file(number, ""))
      const sealed = await readIfThere(file(number, ".gpg"))
      return plain === null || sealed === null ? null : { plain, sealed }
    },
    async write(number, { plain, sealed }) {
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        await replace(file(number, ""), plain)
        await replace(file(number, ".gpg"), sealed)
        const directory = await open(folder, "r")
        await directory.sync().finally(() => directory.close())
      } catch (cause) {
        throw new BackupError("unavailable", `${folder}: the record could not be kept; nothing was recorded`, {
          cause,
          hint: "make room there: without a copy no record can be said again for new operators",
        })
      }
    },
  }
}

async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
    throw new BackupError("unavailable", `${path}: cannot be read`, { cause })
  }
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(`${path}.tmp`, "w", 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.tmp`, path)
}
