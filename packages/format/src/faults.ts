// The closed list of what can go wrong, and the exit code of each. A new fault does not compile until it has a code.
// Errors of other programs are translated into one of these at the edge where they arise, with `cause` kept.

export type Fault =
  | "usage"
  | "not-found"
  | "conflict"
  | "refused"
  | "differs"
  | "expired"
  | "unavailable"
  | "incomplete"
  | "tampered"
  | "open-risk"
  | "alarm"

/** Exit code of the command line for each fault; 0 is success and 1 is a defect of the program. */
export const exitCode: Readonly<Record<Fault, number>> = {
  usage: 2,
  "not-found": 10,
  conflict: 11,
  refused: 12,
  differs: 13,
  expired: 14,
  unavailable: 20,
  incomplete: 30,
  tampered: 31,
  "open-risk": 40,
  alarm: 50,
}

/** An error a person can act on: `message` says what happened to which object, `hint` what to do. */
export class BackupError extends Error {
  override readonly name = "BackupError"
  readonly fault: Fault
  readonly hint: string | undefined

  constructor(fault: Fault, message: string, options: ErrorOptions & { hint?: string } = {}) {
    super(message, options)
    this.fault = fault
    this.hint = options.hint
  }
}

/** True if `error` is a `BackupError` with this fault. */
export function isFault(error: unknown, fault: Fault): error is BackupError {
  return error instanceof BackupError && error.fault === fault
}

/** For the default case of a switch over a union: does not compile unless every case is there. */
export function unreachable(value: never): never {
  throw new TypeError(`unreachable: ${JSON.stringify(value)}`)
}
