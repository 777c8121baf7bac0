// Whether an archive is as it was signed: every signature, every object, and that nothing this machine remembers is gone.

import { createHash } from "node:crypto"
import { BackupError } from "@backup-cloud/format"
import { type Trust, type VerifyEvent, type VerifyReport, verifyArchive, worst } from "@backup-cloud/trust"
import type { Machine } from "./machine.ts"
import { recoveryFile } from "./recovery.ts"

/** Objects read at once. */
const WIDTH = 4

export interface VerifyJob {
  /** Presence and length only. */
  readonly quick?: boolean | undefined
  readonly onEvent: (event: VerifyEvent) => void
  readonly signal: AbortSignal
}

/** What is wrong is in the report. Throws as `verifyArchive`. */
export async function verifyWhole(machine: Machine, trust: Trust, job: VerifyJob): Promise<VerifyReport> {
  const text = await recoveryFile("RECOVER.txt")
  return await verifyArchive({
    trust,
    reader: await machine.store(),
    quick: job.quick ?? false,
    memory: machine.memory,
    expiries: await machine.expiries(trust),
    unsigned: new Map([["RECOVER.txt", createHash("sha256").update(text).digest("hex")]]),
    signal: job.signal,
    width: WIDTH,
    onEvent: job.onEvent,
  })
}

/** The gravest of the problems as an error; `null` where there are none. @param url of the archive */
export function gravest({ problems }: VerifyReport, url: string): BackupError | null {
  const found = worst(problems)
  if (found === null) return null
  return new BackupError(
    found.fault,
    `${problems.length} problems in ${url}, the gravest: ${found.object}: ${found.why}`,
    { hint: "what is damaged here may be whole on an offline copy; restore --salvage brings what is intact" },
  )
}
