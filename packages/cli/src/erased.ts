// What erasures kept from coming back, told to people and programs.

import { erasureFile, escapeControl, fromByteString } from "@backup-cloud/format"
import type { ErasedSql } from "@backup-cloud/restore"
import type { OpenRun } from "backup-cloud/parts/releases"
import { size } from "./io.ts"
import type { Session } from "./session.ts"

/** How much was left out, once the run's entries were read; nothing where nothing was. */
export function noteLeftOut(session: Session, { view, run }: OpenRun): void {
  const { leftOut, numbers } = view.erasing
  if (leftOut.entries === 0) return
  const { entries, files, bytes } = leftOut
  session.say(
    `Left out of ${run.source}@${run.run}: ${entries} entries, of them ${files} files of ${size(bytes)}, which must not come back (erasures ${numbers.join(", ")}).`,
  )
  session.event({ event: "left-out", source: run.source, run: run.run, ...leftOut, erasures: numbers })
}

/** The names of what is left out, and for which erasure. */
export async function listErased(session: Session, open: OpenRun): Promise<void> {
  if (open.view.erasing.numbers.length === 0) return
  for await (const { entry, number } of open.view.erasing.judged(() => open.everything())) {
    if (number === 0) continue
    const path = fromByteString(entry.path)
    session.say(`left out for erasure ${number}: ${escapeControl(path)}`)
    session.event({ event: "erased", path, type: entry.type, erasure: number })
  }
}

/** What became of the SQL of erasures. @param where the restored data is */
export function tellErased(session: Session, erased: readonly ErasedSql[], where: string): void {
  for (const { number, database, how } of erased) {
    const of = `the SQL of erasure ${number}`
    if (how === "ran") session.say(`Ran ${of} in the database ${escapeControl(database)}.`)
    if (how === "apart") session.note(`${of} was not run: the database ${escapeControl(database)} was not restored`)
    if (how === "written")
      session.warn(
        `${where} holds the dump of a database with rows that must not come back: once ${escapeControl(database)} is loaded, run ${erasureFile(number)} in it, before anybody uses it`,
      )
  }
}
