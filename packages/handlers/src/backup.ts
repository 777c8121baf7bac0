// The function that backs up one source: event, one call, reply. Its environment: BACKUP_CLOUD_ARCHIVE and
// BACKUP_CLOUD_IDENTITY. It never calls itself: a state machine does, for as long as the outcome is `continues`.

import { BackupError } from "@backup-cloud/format"
import { invocation, type Reply } from "./invocation.ts"

/** @param context of Lambda */
export async function handler(
  event: unknown,
  context: { readonly getRemainingTimeInMillis: () => number },
): Promise<Reply> {
  try {
    return await invocation(event, {
      env: process.env,
      now: () => new Date(),
      write: (line) => process.stdout.write(line),
      remaining: () => context.getRemainingTimeInMillis(),
    })
  } catch (error) {
    throw named(error)
  }
}

/** Under the name of its fault, by which a state machine chooses what to try again, and without its causes. */
function named(error: unknown): unknown {
  if (!(error instanceof BackupError)) return error
  const hint = error.hint === undefined ? "" : ` → ${error.hint}`
  const plain = new Error(error.message + hint)
  plain.name = error.fault
  return plain
}
