// What was erased from databases goes again after they were loaded: by the target, which alone can reach them.

import { BackupError, canErase, type SqlErasure, type Target } from "@backup-cloud/format"

export interface ErasedSql {
  /** Of the erasure. */
  readonly number: number
  readonly database: string
  readonly how: "ran" | "written" | "apart"
}

/** Throws `refused` if SQL is to be run that the target cannot. */
export function requireErasing([first]: readonly SqlErasure[], target: Target): void {
  if (first === undefined || canErase(target)) return
  throw new BackupError(
    "refused",
    `erasure ${first.number} is SQL, and this target cannot run it; nothing was written`,
    {
      hint: "restore into a server, or into a directory, which gets the SQL as a file beside the data",
    },
  )
}

/** Has the target run the SQL, once every entry is there. */
export async function eraseIn(all: readonly SqlErasure[], target: Target, signal: AbortSignal): Promise<ErasedSql[]> {
  const done: ErasedSql[] = []
  if (!canErase(target)) return done
  for (const { number, database, sql } of all)
    done.push({ number, database, how: await target.erase({ number, database, sql }, signal) })
  return done
}
