// Carries out a plan. Order: the list, the administrator's signature of it, which commits, and only then the deletes, by
// the lists as any reader finds them. So a crash at any point leaves an archive in which every absence is named, and doing
// it again finishes. Deletes that a lock refuses are told and left for another time.

import {
  BackupError,
  type ExpiredRun,
  type ExpiryList,
  expiryCodec,
  FORMAT,
  inOrder,
  isFault,
  isPart,
  names,
  parseRunObject,
  parseRunPath,
  timeText,
} from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import { type ArchiveReader, type ArchiveRemover, type ArchiveWriter, KeptError } from "@backup-cloud/store"
import {
  createSame,
  type Expired,
  type Expiries,
  notFollowingList,
  problemError,
  readExpiries,
  type Trust,
  type TrustMemory,
  worst,
} from "@backup-cloud/trust"
import { beyond, covers, type ExpiryPlan } from "./plan.ts"

export interface KeptObject {
  readonly object: string
  /** When the lock ends; `null` where that is not known, or no lock is why. */
  readonly until: Date | null
  readonly why: string
}

export type ExpiryEvent =
  | { readonly event: "list"; readonly number: number; readonly runs: number }
  | { readonly event: "removed"; readonly object: string }
  | ({ readonly event: "kept" } & KeptObject)

export interface SweepInput {
  readonly trust: Trust
  readonly store: ArchiveReader & ArchiveWriter & ArchiveRemover
  readonly onEvent: (event: ExpiryEvent) => void
  readonly signal: AbortSignal
}

export interface ApplyInput extends SweepInput {
  /** As they were when the plan was made. */
  readonly expiries: Expiries
  readonly plan: ExpiryPlan
  /** The administrator's. */
  readonly signer: Signer
  /** Remembers the new list. */
  readonly home?: TrustMemory
  readonly now: Date
}

export interface ExpiryResult {
  /** Numbers of the lists that were signed. */
  readonly lists: readonly number[]
  readonly removed: number
  /** What stays though it is named, the first object of each run. */
  readonly kept: readonly KeptObject[]
}

/** Objects that are removed at once. */
const WIDTH = 8

/**
 * Signs what `plan` takes away and removes it, with all that earlier lists name and that is still there. Throws `tampered`
 * or as found if something is wrong with the lists, `conflict` if another expiry was begun that does not fit.
 */
export async function applyExpiry(input: ApplyInput): Promise<ExpiryResult> {
  const { trust, store, signal, home, plan } = input
  refuseProblems(input.expiries)
  const lists = await commitLists(input)
  const expiries = await readExpiries({ trust, reader: store, signal, ...(home === undefined ? {} : { home }) })
  refuseProblems(expiries)
  const expected = input.expiries.lists.length + lists.length
  if (expiries.lists.length < expected)
    throw new BackupError("unavailable", `${names.expiry(expected)}: cannot be read yet; nothing was removed`)
  const swept = await sweep(input, expiries)
  const states = await removeStates(input, plan.states)
  return { lists, removed: swept.removed + states.removed, kept: [...swept.kept, ...states.kept] }
}

function refuseProblems({ problems }: Expiries): void {
  const gravest = worst(problems)
  if (gravest !== null)
    throw problemError({ ...gravest, why: `${gravest.why}; nothing was removed` }, "run `backup-cloud verify` first")
}

async function commitLists(input: ApplyInput): Promise<number[]> {
  const { expiries, trust, plan, now, onEvent } = input
  const numbers: number[] = []
  let before = { list: expiries.lists.at(-1) ?? null, digest: expiries.digest }
  let left: readonly ExpiredRun[] = plan.runs
  const commit = async (list: ExpiryList): Promise<void> => {
    const digest = await publish(input, list)
    numbers.push(list.number)
    onEvent({ event: "list", number: list.number, runs: list.runs.length })
    before = { list, digest }
    left = beyond(left, list.runs)
  }
  if (expiries.unfinished !== null) await commit(begun(input, expiries.unfinished))
  if (left.length > 0) {
    const created = timeText(now)
    if (created < (before.list?.created ?? ""))
      throw new BackupError(
        "refused",
        `the last expiry is of ${before.list?.created ?? ""}, and the clock says ${created}; nothing was removed`,
        {
          hint: "set the clock of this machine",
        },
      )
    const number = (before.list?.number ?? 0) + 1
    const { archive } = trust.archive
    const policy = trust.policy.number
    await commit({
      format: FORMAT,
      type: "expiry",
      archive,
      number,
      created,
      previous: before.digest,
      policy,
      runs: [...left],
    })
  }
  return numbers
}

/** The list that was begun and not signed, if all that it names would go today as well. */
function begun({ expiries, trust, plan }: ApplyInput, bytes: Uint8Array): ExpiryList {
  const name = names.expiry(expiries.lists.length + 1)
  const conflict = (cause?: unknown): BackupError =>
    new BackupError(
      "conflict",
      `${name}: another expiry was begun and never signed, which is not what would be done now; nothing was removed`,
      {
        cause,
        hint: "read the file; if nobody is expiring at this moment, remove it with the store's own tools and expire again",
      },
    )
  let list: ExpiryList
  try {
    list = expiryCodec.decode(bytes, name)
  } catch (error) {
    throw conflict(error)
  }
  if (notFollowingList(trust, list, expiries.lists.at(-1) ?? null, expiries.digest) !== null) throw conflict()
  if (!covers(plan.runs, list.runs)) throw conflict()
  return list
}

/** Gives the digest of the list's file. */
async function publish({ store, trust, signer, signal }: ApplyInput, list: ExpiryList): Promise<string> {
  const { fingerprint } = trust.administrator
  if (signer.fingerprint !== fingerprint)
    throw new BackupError(
      "refused",
      `expiry lists are signed by ${fingerprint}, not ${signer.fingerprint}; nothing was removed`,
    )
  const name = names.expiry(list.number)
  const bytes = expiryCodec.encode(list)
  const signature = await signer.detached(bytes, signal)
  const digest = await createSame(store, name, bytes, signal)
  await createSame(store, `${name}.sig`, signature, signal)
  return digest
}

interface Removed {
  removed: number
  readonly kept: KeptObject[]
}

/** Removes what the lists name and the store still has. */
export async function sweep(input: SweepInput, expiries: Expiries): Promise<Removed> {
  const total: Removed = { removed: 0, kept: [] }
  const sources = new Set(expiries.lists.flatMap((list) => list.runs.map((each) => each.source)))
  for (const source of [...sources].sort())
    for await (const { run, objects } of byRun(input, source)) {
      const expired = expiries.find(source, run)
      if (expired === null) continue
      const doomed = doomedOf(expired, objects)
      if (doomed === null) {
        const why = "has receipts now, and had none when it was taken for an interrupted run; it stays"
        tell(input, total, { object: names.runDirectory(source, run), until: null, why })
      } else await removeAll(input, total, doomed)
    }
  return total
}

/** The objects of each run of a source that the store has, in order. */
async function* byRun({ store, signal }: SweepInput, source: string) {
  let run = ""
  let objects: string[] = []
  for await (const { name } of store.list(`backup/${source}/`, signal)) {
    const path = parseRunPath(name)
    if (path === null) continue
    if (path.run !== run && objects.length > 0) yield { run, objects }
    if (path.run !== run) objects = []
    run = path.run
    objects.push(name)
  }
  if (objects.length > 0) yield { run, objects }
}

/** Of an orphan everything, unless it has come to have receipts: then `null`. */
function doomedOf({ sums, parts }: Expired, objects: readonly string[]): string[] | null {
  const baseOf = (object: string): string => object.slice(object.lastIndexOf("/") + 1)
  if (sums !== "") return objects.filter((object) => isPart(parts, baseOf(object)))
  const proofs = ["receipt", "sums", "signature"]
  return objects.some((object) => proofs.includes(parseRunObject(baseOf(object))?.kind ?? "")) ? null : [...objects]
}

async function removeStates(input: ApplyInput, states: ExpiryPlan["states"]): Promise<Removed> {
  const total: Removed = { removed: 0, kept: [] }
  for (const { source, run } of states) {
    const objects: string[] = []
    for await (const { name } of input.store.list(names.stateDirectory(source, run), input.signal)) objects.push(name)
    await removeAll(input, total, objects)
  }
  return total
}

/** Removes one object first: where that is refused, so would be the others of its run, which are not tried. */
async function removeAll(input: SweepInput, total: Removed, [first, ...others]: readonly string[]): Promise<void> {
  if (first === undefined) return
  const refused = await removeOne(input, total, first, input.signal)
  if (refused !== null) {
    tell(input, total, refused)
    return
  }
  let told = false
  const work = (object: string, signal: AbortSignal) => removeOne(input, total, object, signal)
  for await (const one of inOrder(others, WIDTH, input.signal, work)) {
    if (one !== null && !told) tell(input, total, one)
    told ||= one !== null
  }
}

async function removeOne(
  { store, onEvent }: SweepInput,
  total: Removed,
  object: string,
  signal: AbortSignal,
): Promise<KeptObject | null> {
  try {
    await store.remove(object, signal)
  } catch (error) {
    if (!isFault(error, "refused")) throw error
    return { object, until: error instanceof KeptError ? error.until : null, why: error.message }
  }
  total.removed++
  onEvent({ event: "removed", object })
  return null
}

function tell({ onEvent }: SweepInput, total: Removed, kept: KeptObject): void {
  total.kept.push(kept)
  onEvent({ event: "kept", ...kept })
}
