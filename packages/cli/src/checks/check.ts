// What a check of `doctor` is: one thing that can be wrong, and the command that mends it.

export interface Trouble {
  /** What is wrong, a sentence without the check's name. */
  readonly problem: string
  /** What a person types or does about it. */
  readonly mend: string
  /** Whether it is so could not be found out: neither good nor bad. */
  readonly unknown?: true
}

export interface Check {
  /** What should be so. */
  readonly name: string
  /** `null` if it is so. A throw is a defect: what can fail is a trouble. */
  run(): Promise<Trouble | null>
}

const DAY = 86_400_000

/** How long before a key ends it is said. */
export const NOTICE_DAYS = 90

/** Whether `time` is gone or comes within the notice; `null` is never. */
export function endsSoon(time: Date | null, now: Date): time is Date {
  return time !== null && time.getTime() - now.getTime() < NOTICE_DAYS * DAY
}

export const day = (time: Date): string => time.toISOString().slice(0, 10)
