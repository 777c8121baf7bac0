// From RUN and release files on the command line to a run whose contents can be read.

import { type OpenRun, openReleased } from "backup-cloud/parts/releases"
import { listOf } from "./options.ts"
import { chooseRun } from "./run-name.ts"
import type { Session } from "./session.ts"

/** Opens a run with releases. Throws as `openReleased`. */
export async function openRun(
  session: Session,
  name: string,
  options: Readonly<Record<string, unknown>>,
  salvage = false,
): Promise<OpenRun> {
  const chosen = await chooseRun(session, name, { salvage })
  const withoutErasures = options["withoutErasures"] === true
  return await openReleased(session, chosen, {
    ...{ files: listOf(options, "release"), key: options["key"], salvage, withoutErasures },
  })
}
