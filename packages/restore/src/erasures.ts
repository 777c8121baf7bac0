// The records of what must not come back, opened with the key of an operator or holder, and which of them a restore must
// honour. A record that nobody here can open stops it, unless a later one that can be opened says it again.

import { createHash } from "node:crypto"
import { BackupError, type Erasure, erasureCodec, isFault, type Release } from "@backup-cloud/format"
import type { PrivateOpener } from "@backup-cloud/openpgp"
import type { SealedErasure } from "@backup-cloud/trust"
import { Erasing } from "./erasing.ts"
import type { RunView } from "./view.ts"

/** What the releases say of erasures. */
export type ErasureTerms = Pick<Release, "erasures" | "without_erasures">

export interface ErasingInput {
  /** As `knownErasures` of the package trust gives them. */
  readonly sealed: readonly SealedErasure[]
  /** Archive id. */
  readonly archive: string
  readonly opener: PrivateOpener
  readonly run: Pick<RunView, "source" | "receipt">
  readonly releases: readonly ErasureTerms[]
  /** Bring back what was erased too. */
  readonly without: boolean
  readonly signal: AbortSignal
}

/**
 * What a restore of the run leaves out. Throws `refused` if there are fewer records than a release states, if one cannot be
 * opened, or if `without` is asked for and not every release says so; `tampered` if a record is not the one of its number.
 */
export async function erasingFor(input: ErasingInput): Promise<Erasing> {
  const { sealed, archive, opener, run, releases, without, signal } = input
  const stated = Math.max(0, ...releases.map(({ erasures }) => erasures))
  if (sealed.length < stated)
    throw new BackupError(
      "refused",
      `the release states ${stated} erasures, and ${sealed.length} are recorded here; nothing was opened`,
      { hint: "this is an older or incomplete copy of the archive: use one that has erasures/ whole" },
    )
  if (without) {
    if (releases.length > 0 && releases.every((release) => release.without_erasures)) return new Erasing([])
    throw new BackupError("refused", "no release given allows to bring back what was erased; nothing was opened", {
      hint: "ask a key holder with `backup-cloud request --without-erasures`",
    })
  }
  const records = await openErasures(sealed, archive, opener, signal)
  return new Erasing(records.filter((record) => concerns(record, run)))
}

/** Whether the record is about this run: of its source, and begun in time. */
export function concerns(record: Erasure, { source, receipt }: Pick<RunView, "source" | "receipt">): boolean {
  return record.source === source && (record.until === "" || receipt.started <= record.until)
}

/** All records in force, by number: those that no later one says again. Throws `refused` or `tampered`. */
export async function openErasures(
  sealed: readonly SealedErasure[],
  archive: string,
  opener: PrivateOpener,
  signal: AbortSignal,
): Promise<readonly Erasure[]> {
  const replaced = new Set<number>()
  const records: Erasure[] = []
  for (const object of sealed.toReversed()) {
    if (replaced.has(object.number)) continue
    const record = await openOne(object, opener, signal)
    const wrong = notOf(object, record, archive, sealed)
    if (wrong !== null) throw new BackupError("tampered", `${object.name}: ${wrong}`)
    for (const number of record.replaces) replaced.add(number)
    records.push(record)
  }
  return records.reverse()
}

async function openOne(object: SealedErasure, opener: PrivateOpener, signal: AbortSignal): Promise<Erasure> {
  try {
    return erasureCodec.decode(await opener.open(object.sealed, object.name, signal), object.name)
  } catch (cause) {
    if (!isFault(cause, "refused")) throw cause
    throw new BackupError(
      "refused",
      `${object.name}: says what must not come back, and is not sealed to a key that you have; nothing was opened`,
      {
        cause,
        hint: "ask the administrator to say it again for those who are operators now: backup-cloud erase renew",
      },
    )
  }
}

function notOf(
  { number }: SealedErasure,
  record: Erasure,
  archive: string,
  sealed: readonly SealedErasure[],
): string | null {
  if (record.archive !== archive) return "is of another archive"
  if (record.number !== number) return `is record ${record.number}, put in another's place`
  const before = sealed[number - 2]
  const previous = before === undefined ? "" : createHash("sha256").update(before.sealed).digest("hex")
  return record.previous === previous ? null : `does not continue record ${number - 1}`
}
