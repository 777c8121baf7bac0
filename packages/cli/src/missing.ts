// What is read lies on a disk that is not there: who sits at a terminal is asked for it by its label, anybody else is told.

import { access } from "node:fs/promises"
import { join, resolve } from "node:path"
import { BackupError, isFault, isSealed, MEDIUM, parseRunPath } from "@backup-cloud/format"
import { directoryOf } from "@backup-cloud/store"
import type { Io } from "./io.ts"
import type { Session } from "./session.ts"

/** Whether the archive is a disk. */
export async function isMedium(archive: string | null, cwd: string): Promise<boolean> {
  if (archive === null) return false
  const directory = /^[a-z0-9]+:/.test(archive) ? directoryOf(archive) : resolve(cwd, archive)
  if (directory === null) return false
  return await access(join(directory, MEDIUM)).then(
    () => true,
    () => false,
  )
}

/** For `Surroundings.missing`: true when a disk was plugged in. Throws `unavailable`, naming the disk, where nobody answers. */
export function askForDisk(
  session: () => Session,
  io: Io,
  salvage: boolean,
): (name: string, signal: AbortSignal) => Promise<boolean> {
  let asking: Promise<boolean> | null = null
  return async (name, signal) => {
    const path = parseRunPath(name)
    if (path === null || !isSealed(path.base)) return false
    // Several reads may miss the same disk: it is asked for once.
    asking ??= ask(session(), io, salvage, name, signal).finally(() => {
      asking = null
    })
    return await asking
  }
}

async function ask(session: Session, io: Io, salvage: boolean, name: string, signal: AbortSignal): Promise<boolean> {
  // Loaded only now: most commands never come here.
  const { foldStatements, holdersOf, readStatements } = await import("@backup-cloud/media")
  const { knownDisks, shownDisk } = await import("./media-home.ts")
  const trust = await session.trust()
  const { archive } = trust.archive
  const media = foldStatements(await readStatements(trust, [await session.store()], signal))
  const known = await knownDisks(session, archive)
  const disks = holdersOf(media, name).map((medium) => shownDisk(medium, known))
  if (disks.length === 0) return false
  const who = disks.join(" or ")
  try {
    if (await io.confirm(`${name} is on ${who}. Mount it where --archive or --media says, and say yes.`)) return true
  } catch (error) {
    if (!isFault(error, "usage")) throw error
    // Who salvages takes what there is.
    if (salvage) return false
    throw new BackupError("unavailable", `${name}: is on none of the disks given; ${who} has it`, {
      cause: error,
      hint: "plug it in, mount it, and give --media DIR for each disk besides the one of --archive",
    })
  }
  return false
}
