// RUN on the command line: NAME@latest, NAME@<run id> or NAME@2026-11-20.

import { type ChosenRun, findRun } from "backup-cloud/parts/run-name"
import type { Session } from "./session.ts"

/** Finds a run, and says what it lacks. Throws as `findRun`. */
export async function chooseRun(
  session: Session,
  name: string,
  options: { readonly salvage?: boolean } = {},
): Promise<ChosenRun> {
  const chosen = await findRun(session, name, options)
  const { receipt, source, run } = chosen.run
  if (receipt.outcome !== "complete") {
    session.note(
      `WARNING: ${source}@${run} is ${receipt.outcome}: it lacks ${receipt.errors.join(", ") || "what came after the interruption"}.`,
    )
  }
  return chosen
}
