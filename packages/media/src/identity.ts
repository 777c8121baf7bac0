// What a disk is: a directory store with the layout of an archive at its top, and beside that an identity and a memory.
// The identity is written first and never changed; all else can be made again from the archive.

import { readdir } from "node:fs/promises"
import { BackupError, FORMAT, identityCodec, MEDIUM, type MediumIdentity, timeText } from "@backup-cloud/format"
import type { Store } from "@backup-cloud/store"
import { readObject, type Trust } from "@backup-cloud/trust"
import { sha256 } from "./bytes.ts"
import { diskFault } from "./disk-faults.ts"
import { diskStore } from "./disk-store.ts"

/** A disk that is there. */
export interface Disk {
  /** Where it is mounted, absolute. */
  readonly path: string
  readonly store: Store
  readonly identity: MediumIdentity
}

export interface NewDisk {
  /** Where it is mounted, absolute. */
  readonly path: string
  readonly label: string
  /** Id of the set that it joins; `null` for one of its own. */
  readonly set: string | null
  /** Name of the place where it will lie, and of who has it there. */
  readonly location: string
  readonly custodian: string
  /** Recovery data, in per cent; 0 for none. */
  readonly parity: number
}

/** What file systems put there by themselves, and what a store hides. */
const NOBODYS = ["lost+found", ".incoming"]

/** The identity at `path`; `null` if what is there is no medium. Throws `tampered` for one that cannot be read. */
export async function readIdentity(path: string, signal: AbortSignal): Promise<MediumIdentity | null> {
  const bytes = await readObject(diskStore(path), MEDIUM, signal)
  return bytes === null ? null : identityCodec.decode(bytes, `${path}/${MEDIUM}`)
}

/** Throws `not-found` if there is no medium, `refused` if it is of another archive. @param archive id */
export async function openDisk(path: string, archive: string, signal: AbortSignal): Promise<Disk> {
  const identity = await readIdentity(path, signal)
  if (identity === null)
    throw new BackupError("not-found", `${path}: is no medium of this program; nothing was done`, {
      hint: "is it mounted? A new disk is prepared with `backup-cloud media init`",
    })
  if (identity.archive !== archive)
    throw new BackupError(
      "refused",
      `${path}: is "${identity.label}" of the archive ${identity.archive}, not of ${archive}; nothing was done`,
      { hint: "plug in another disk, or name its archive with --archive" },
    )
  return { path, store: diskStore(path), identity }
}

/**
 * Writes the identity onto an empty disk. Throws `conflict` if it is a medium of this archive already, `refused` if it holds
 * anything else.
 * @param known identities of other disks, whose codes of places and persons are used again
 */
export async function markDisk(
  wanted: NewDisk,
  trust: Trust,
  known: readonly MediumIdentity[],
  now: Date,
  random: (bytes: number) => Uint8Array,
  signal: AbortSignal,
): Promise<Disk> {
  const { path, label, location, custodian, parity } = wanted
  const there = await readIdentity(path, signal)
  if (there !== null)
    throw new BackupError(
      there.archive === trust.archive.archive ? "conflict" : "refused",
      `${path}: is "${there.label}" of the archive ${there.archive} already; nothing was changed`,
      { hint: "`backup-cloud media sync` brings it up to date; an empty disk can be prepared" },
    )
  const others = await foreign(path)
  if (others.length > 0)
    throw new BackupError("refused", `${path}: holds other data (${others[0] ?? ""}); nothing was changed`, {
      hint: "a medium holds nothing but its archive: give an empty disk, with a file system that was made anew",
    })
  const medium = hex(random(16))
  const identity: MediumIdentity = {
    ...{ format: FORMAT, type: "identity", archive: trust.archive.archive, medium, created: timeText(now), label },
    ...{ set: wanted.set ?? medium, location, custodian, parity },
    location_code: known.find((each) => each.location === location)?.location_code ?? hex(random(4)),
    custodian_code: known.find((each) => each.custodian === custodian)?.custodian_code ?? hex(random(4)),
  }
  const bytes = identityCodec.encode(identity)
  const store = diskStore(path)
  await store.create(MEDIUM, [bytes], sha256(bytes), signal)
  return { path, store, identity }
}

async function foreign(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).filter((name) => !NOBODYS.includes(name)).sort()
  } catch (error) {
    throw diskFault(path, error)
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
