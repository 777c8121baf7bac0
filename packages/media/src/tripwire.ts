// Compares an archive with what a disk remembers of it. A run can be followed and can expire; it cannot vanish before that,
// nor change, nor be followed by one that knows nothing of it. Any of that is an alarm, and then nothing is copied: what the
// disk holds may be all that is left.

import { names, type Receipt } from "@backup-cloud/format"
import type { Expiries, Problem } from "@backup-cloud/trust"
import type { DiskMemory, KnownRun } from "./memory.ts"
import type { SurveyedRun } from "./survey.ts"

/** A known run whose listing is not what it was: looked at object by object before anything is said. */
export interface Suspect {
  readonly known: KnownRun
  readonly now: SurveyedRun
}

/** What a listing alone tells. */
export function compareListing(
  memory: DiskMemory,
  listed: ReadonlyMap<string, SurveyedRun>,
  expiries: Expiries,
): { readonly alarms: Problem[]; readonly suspects: Suspect[] } {
  const alarms: Problem[] = []
  const suspects: Suspect[] = []
  for (const [key, known] of memory.runs) {
    const now = listed.get(key)
    const directory = names.runDirectory(known.source, known.run)
    // Of what expired the receipts stay.
    if (now === undefined) {
      const gone = expiries.find(known.source, known.run) !== null
      const why = gone ? "vanished, its receipts too, which no expiry takes" : "vanished, and no expiry list names it"
      alarms.push({ fault: "alarm", object: directory, why })
      continue
    }
    for (let number = 1; number <= known.number; number++)
      if (!now.arrived.has(number))
        alarms.push({ fault: "alarm", object: directory + names.signature(number), why: "vanished from the archive" })
    const follows = [...now.arrived.keys()].some((number) => number > known.number)
    if (!follows && (now.objects !== known.objects || now.bytes !== known.bytes)) suspects.push({ known, now })
  }
  return { alarms, suspects }
}

/** A new run of a source that knows nothing of the runs which the disk knows: the chain was begun anew. */
export function breaksOff(known: ReadonlySet<string>, receipt: Receipt): Problem | null {
  if (receipt.previous.length > 0 || !known.has(receipt.source)) return null
  const object = names.runDirectory(receipt.source, receipt.run) + names.receipt(receipt.number)
  const why = "names no run before it, and this disk remembers some: the chain does not go on"
  return { fault: "alarm", object, why }
}
