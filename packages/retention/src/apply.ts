// Carries out a plan. Order: the list, the administrator's signature of it, which commits, and only then the deletes, by
// the lists as any reader finds them. So a crash at any point leaves an archive in which every absence is named, and doing
// it again finishes. Deletes that a lock refuses are told and left for another time.

import {
  BackupError,
  type ExpiredRun,
  type ExpiryList,
  expiryCodec,
  FORMAT,
  names,
  timeText,
} from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import {
  createSame,
  type Expiries,
  notFollowingList,
  problemError,
  readExpiries,
  type TrustMemory,
  worst,
} from "@backup-cloud/trust"
import { beyond, covers, type ExpiryPlan } from "./plan.ts"
import { type KeptObject, type Removed, removeAll, type SweepInput, sweep } from "./sweep.ts"

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

async function removeStates(input: ApplyInput, states: ExpiryPlan["states"]): Promise<Removed> {
  const total: Removed = { removed: 0, kept: [] }
  for (const { source, run } of states) {
    const objects: string[] = []
    for await (const { name } of input.store.list(names.stateDirectory(source, run), input.signal)) objects.push(name)
    await removeAll(input, total, objects)
  }
  return total
}
