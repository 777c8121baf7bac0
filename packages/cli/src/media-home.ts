// What this machine knows of disks: a copy of each one's identity, in `media/` of its home. The names of places and persons
// are nowhere else but on the disks themselves.

import { mkdir, readdir } from "node:fs/promises"
import { join, resolve } from "node:path"
import {
  BackupError,
  escapeControl,
  identityCodec,
  isFault,
  MEDIUM,
  type MediumIdentity,
  runId,
} from "@backup-cloud/format"
import { type Disk, type Medium, openDisk, readIdentity } from "@backup-cloud/media"
import type { Trust } from "@backup-cloud/trust"
import { readNamed } from "backup-cloud/parts/named"
import { writeNamed } from "./files.ts"
import type { Session } from "./session.ts"

/** Identities of all disks of this archive that this machine has seen, by label. */
export async function knownDisks(session: Session, archive: string): Promise<MediumIdentity[]> {
  const folder = join(session.home, "media")
  const known: MediumIdentity[] = []
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/^[0-9a-f]{32}\.json$/.test(name)) continue
    const identity = identityCodec.decode(await readNamed(join(folder, name)), join(folder, name))
    if (identity.archive === archive) known.push(identity)
  }
  return known.sort((a, b) => (a.label < b.label ? -1 : 1))
}

export async function rememberDisk(session: Session, identity: MediumIdentity): Promise<void> {
  const folder = join(session.home, "media")
  await mkdir(folder, { recursive: true, mode: 0o700 })
  try {
    await writeNamed(join(folder, `${identity.medium}.json`), identityCodec.encode(identity), 0o600)
  } catch (error) {
    if (!isFault(error, "conflict")) throw error
  }
}

/** The disk at `path`, which this machine then knows. Throws as `openDisk`, and `usage` if it is the archive itself. */
export async function diskAt(session: Session, trust: Trust, path: string): Promise<Disk> {
  const place = resolve(session.io.cwd, path)
  if (session.surroundings.archive !== null && resolve(session.io.cwd, session.archiveUrl) === place)
    throw new BackupError("usage", `${path} is what --archive names; nothing was done`, {
      hint: "name the archive that the disk is a copy of",
    })
  const disk = await openDisk(place, trust.archive.archive, session.io.signal)
  await rememberDisk(session, disk.identity)
  return disk
}

/** The disk that a person means by its label, its id or the path where it is mounted. Throws `not-found` for none, `usage` for several. */
export async function diskNamed(session: Session, archive: string, name: string): Promise<MediumIdentity> {
  const known = await knownDisks(session, archive)
  const found = known.filter((each) => each.label === name || each.medium === name)
  const [one] = found
  if (one !== undefined && found.length === 1) return one
  if (found.length > 1)
    throw new BackupError("usage", `several disks are called "${name}"; nothing was done`, {
      hint: `give its id: ${found.map((each) => each.medium).join(", ")}`,
    })
  const mounted = await readIdentity(resolve(session.io.cwd, name), session.io.signal).catch(() => null)
  if (mounted?.archive === archive) return mounted
  throw new BackupError("not-found", `no disk is called "${name}" here; nothing was done`, {
    hint: `known are: ${known.map((each) => each.label).join(", ") || `none; ${MEDIUM} on a disk tells its id`}`,
  })
}

/** An id for a statement that is made now. */
export function statementId(session: Session): string {
  return runId(session.io.now(), session.io.random(4))
}

/** A disk as people know it: by label and place where this machine has seen it, else by id and the code of the place. */
export function shownDisk({ id, last }: Medium, known: readonly MediumIdentity[]): string {
  const own = known.find((each) => each.medium === id)
  if (own === undefined) return `the disk ${id.slice(0, 8)} (place ${last.location})`
  return `"${escapeControl(own.label)}" (${escapeControl(own.location)})`
}

/** A place by its code: its name where this machine has seen a disk of it. */
export async function placeOf(session: Session, code: string): Promise<string> {
  const { archive } = (await session.trust()).archive
  const known = (await knownDisks(session, archive)).find((each) => each.location_code === code)
  return known === undefined ? code : escapeControl(known.location)
}
