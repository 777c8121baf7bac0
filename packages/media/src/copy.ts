// Copies one object onto a disk: its bytes are hashed on the way, synced, read back from the disk and hashed again, and only
// then get their name. Where the archive's current object is not what was signed, a stored version that is takes its place.

import { createHash } from "node:crypto"
import { join } from "node:path"
import { BackupError, isFault } from "@backup-cloud/format"
import type { ArchiveReader, ReadOptions } from "@backup-cloud/store"
import { intactVersion, ObjectError } from "@backup-cloud/trust"
import { diskFault } from "./disk-faults.ts"
import type { Disk } from "./identity.ts"
import { pageAligned, readBack, type Through } from "./read-back.ts"

export interface Wanted {
  /** Name in the archive. */
  readonly name: string
  /**
   * As a receipt or the sums say it, which have no lengths; `null` of what is signed by itself or by nothing, where the
   * archive's own bytes count.
   */
  readonly signed: { readonly length: number | null; readonly sha256: string } | null
  /** What lies on the disk under this name may be damaged: it is read, and replaced if it is. */
  readonly suspect?: boolean
}

export interface Copied {
  readonly bytes: number
  /** `null` if it lay there already. */
  readonly through: Through | null
}

const idle: Buffer[] = []

/**
 * Throws an `ObjectError` of fault `tampered` or `not-found` for what is wrong with the archive's object, anything else for the disk or the way there.
 */
export async function copyObject(
  reader: ArchiveReader,
  disk: Disk,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Copied> {
  const { name, signed } = wanted
  // What has a name on the disk was read back before it got it.
  const there = await disk.store.stat(name, signal)
  const fits = there !== null && (signed === null || signed.length === null || there.size === signed.length)
  if (fits && (wanted.suspect !== true || (await isIntact(disk, wanted, signal)))) return { bytes: 0, through: null }
  if (there !== null && wanted.suspect !== true)
    throw new BackupError(
      "tampered",
      `${disk.path}/${name}: has another length than was signed; it was left as it is`,
      { hint: "`backup-cloud media scrub --record` notes what is damaged, and then a sync replaces it" },
    )
  const current = await attempt(reader, disk, wanted, {}, signal)
  if (typeof current !== "string") return current
  const version = await versionOf(reader, wanted, signal)
  const stored = version === null ? current : await attempt(reader, disk, wanted, { version }, signal)
  if (typeof stored !== "string") return stored
  throw current === "absent"
    ? new ObjectError("not-found", name, "is missing in the archive; it was not copied")
    : new ObjectError("tampered", name, "has other bytes in the archive than were signed; it was not copied")
}

async function attempt(
  reader: ArchiveReader,
  disk: Disk,
  { name, signed, suspect }: Wanted,
  options: ReadOptions,
  signal: AbortSignal,
): Promise<Copied | "absent" | "other"> {
  const hash = createHash("sha256")
  await using spool = await disk.store.spool(signal)
  let length = 0
  const pieces = reader.read(name, signal, options)[Symbol.asyncIterator]()
  try {
    for (;;) {
      const step = await pieces.next().catch((error: unknown) => {
        if (isFault(error, "not-found")) return null
        throw error
      })
      if (step === null) return "absent"
      if (step.done === true) break
      hash.update(step.value)
      length += step.value.length
      if (length > (signed?.length ?? Infinity)) return "other"
      await written(disk, name, spool.file.writeFile(step.value))
    }
  } finally {
    await pieces.return?.()
  }
  const sha256 = hash.digest("hex")
  if (signed !== null && (length !== (signed.length ?? length) || sha256 !== signed.sha256)) return "other"
  await written(disk, name, spool.file.sync())
  const buffer = idle.pop() ?? pageAligned()
  const back = await written(disk, name, readBack(spool.path ?? "", buffer, signal))
  idle.push(buffer)
  if (back.sha256 !== sha256)
    throw new BackupError(
      "unavailable",
      `${disk.path}/${name}: the disk gave back other bytes than it was given; the object was not kept`,
      { hint: "use another disk, cable and port: this one cannot be relied upon" },
    )
  // Only now, when what takes its place is on the disk.
  if (suspect === true) await disk.store.remove(name, signal)
  await disk.store.create(name, spool, sha256, signal)
  return { bytes: length, through: back.through }
}

async function isIntact(disk: Disk, { name, signed }: Wanted, signal: AbortSignal): Promise<boolean> {
  if (signed === null) return true
  const buffer = idle.pop() ?? pageAligned()
  try {
    return (await readBack(join(disk.path, name), buffer, signal)).sha256 === signed.sha256
  } catch {
    signal.throwIfAborted()
    return false
  } finally {
    idle.push(buffer)
  }
}

async function versionOf(reader: ArchiveReader, { name, signed }: Wanted, signal: AbortSignal): Promise<string | null> {
  if (signed === null) return null
  const { length } = signed
  if (length !== null) return await intactVersion(reader, name, { ...signed, length }, signal)
  for (const { size } of await reader.versions(name, signal)) {
    const version = await intactVersion(reader, name, { ...signed, length: size }, signal)
    if (version !== null) return version
  }
  return null
}

async function written<T>(disk: Disk, name: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw diskFault(`${disk.path}/${name}`, error)
  }
}
