// What is wrong with an archive, as data: verifying goes on after the first find and lists them all.

import { BackupError, exitCode, type Fault, parseRunPath } from "@backup-cloud/format"

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

/** Run ids of which something could not be read just now: nothing can be said to have vanished from them. */
export function unreadRuns(problems: readonly Problem[]): Set<string> {
  const unread = problems.filter((each) => each.fault === "unavailable")
  return new Set(unread.flatMap((each) => parseRunPath(each.object)?.run ?? []))
}

/** `problem` as an error, for callers that stop at the first. */
export function problemError({ fault, object, why }: Problem, hint?: string): ObjectError {
  return new ObjectError(fault, object, why, hint === undefined ? {} : { hint })
}

/** A fault of one object of the archive, which it names apart from its message. */
export class ObjectError extends BackupError {
  readonly object: string

  constructor(fault: Fault, object: string, why: string, options: ErrorOptions & { hint?: string } = {}) {
    super(fault, `${object}: ${why}`, options)
    this.object = object
  }
}

/** Does `work` on `object`; what it throws is known to be about that object. */
export function about<T>(object: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { fault, why } = problemOf(error, object)
    throw new ObjectError(fault, object, why, { cause: error })
  }
}

/**
 * What `error` says, of `object` if it names none; rethrows what is no finding about the archive (defects, aborted work).
 * @param refusedAs for `refused`: a signature that does not count means that something was changed
 */
export function problemOf(error: unknown, object: string, refusedAs?: Fault): Problem {
  if (!(error instanceof BackupError)) throw error
  const named = error instanceof ObjectError ? error.object : object
  const prefix = `${named}: `
  const why = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message
  const fault = error.fault === "refused" ? (refusedAs ?? "refused") : error.fault
  return { fault, object: named, why }
}
