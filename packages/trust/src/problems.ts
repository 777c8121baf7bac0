// What is wrong with an archive, as data: verifying goes on after the first find and lists them all.

import { BackupError, exitCode, type Fault } from "@backup-cloud/format"

export interface Problem {
  readonly fault: Fault
  /** Name of the object within the archive. */
  readonly object: string
  /** What is wrong with it, without its name. */
  readonly why: string
  /** A stored version of the object that still has the signed bytes; absent where none is known. */
  readonly version?: string
}

/** The gravest of `problems`, the first of several; `null` if there are none. A fault's exit code is its gravity. */
export function worst(problems: readonly Problem[]): Problem | null {
  return problems.reduce<Problem | null>(
    (most, each) => (most === null || exitCode[each.fault] > exitCode[most.fault] ? each : most),
    null,
  )
}

/** `problem` as an error, for callers that stop at the first. */
export function problemError(problem: Problem, hint?: string): BackupError {
  return new BackupError(problem.fault, `${problem.object}: ${problem.why}`, hint === undefined ? {} : { hint })
}

/** What `error` says of `object`; rethrows what is no finding about the archive (defects, aborted work). */
export function problemOf(error: unknown, object: string, fault?: Fault): Problem {
  if (!(error instanceof BackupError)) throw error
  const prefix = `${object}: `
  const why = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message
  return { fault: fault ?? error.fault, object, why }
}
