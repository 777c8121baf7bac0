// Expiry on disks. One that can be written follows the archive's lists; one that cannot be, or lies in a safe, has a date
// after which none of its runs is to be kept any more, and is destroyed then.

import { archiveCodec, BackupError, names } from "@backup-cloud/format"
import type { ArchiveReader } from "@backup-cloud/store"
import { createSame, type Expiries, problemError, readExpiries, readObject, worst } from "@backup-cloud/trust"
import type { ExpiryResult } from "./apply.ts"
import { keepReasons } from "./keep.ts"
import { type PlanInput, provedKey } from "./plan.ts"
import type { RunState } from "./state.ts"
import { type SweepInput, sweep } from "./sweep.ts"

export interface DiskInput extends SweepInput {
  /** The archive whose lists are brought to the disk. `store` is the disk. */
  readonly archive: ArchiveReader
  /** Of the archive. */
  readonly expiries: Expiries
}

/**
 * Copies the archive's lists to a disk and removes there what they name. Throws `refused` if the disk is of another
 * archive, `tampered` if its lists are not those of the archive.
 */
export async function expireDisk(input: DiskInput): Promise<ExpiryResult> {
  const { archive, store, trust, signal, expiries } = input
  await checkDisk(input)
  const lists: number[] = []
  for (const { number } of expiries.lists) {
    const there = (await store.stat(`${names.expiry(number)}.sig`, signal)) !== null
    for (const name of [names.expiry(number), `${names.expiry(number)}.sig`]) {
      const bytes = await readObject(archive, name, signal)
      if (bytes === null)
        throw new BackupError("unavailable", `${name}: is not to be had just now; nothing was removed`)
      await createSame(store, name, bytes, signal)
    }
    if (!there) lists.push(number)
  }
  const onDisk = await readExpiries({ trust, reader: store, signal })
  const gravest = worst(onDisk.problems)
  if (gravest !== null) throw problemError({ ...gravest, why: `${gravest.why}, on the disk; nothing was removed` })
  return { lists, ...(await sweep(input, onDisk)) }
}

async function checkDisk({ store, trust, signal }: DiskInput): Promise<void> {
  const bytes = await readObject(store, names.archive, signal)
  if (bytes === null)
    throw new BackupError("not-found", `${store.url}: holds no archive; nothing was removed`, {
      hint: "name the folder of the disk that archive.json lies in",
    })
  if (archiveCodec.decode(bytes, names.archive).archive !== trust.archive.archive)
    throw new BackupError("refused", `${store.url}: is of another archive; nothing was removed`)
}

export interface DestroyDate {
  /** After it, no rule keeps any of the runs; `null` where that cannot be told yet. */
  readonly after: Date | null
  /** Runs for which no date can be told, and why. */
  readonly open: readonly { readonly source: string; readonly run: string; readonly why: string }[]
}

/**
 * When a disk that holds these runs is no longer to be kept, by the rules and by what is known now. A run that later ones
 * have to displace has no date until they are there. Runs that have expired ask for nothing.
 */
export function destroyAfter(
  { policy, sources, proved, now }: PlanInput,
  held: readonly Pick<RunState, "source" | "run">[],
): DestroyDate {
  const open: { source: string; run: string; why: string }[] = []
  let after = now
  const bySource = Map.groupBy(held, ({ source }) => source)
  for (const [source, wanted] of bySource) {
    const runs = sources.find((each) => each.source === source)?.runs.filter((run) => run.outcome !== "orphan") ?? []
    const known = new Set(runs.map(({ run }) => run))
    const reasons = keepReasons({ policy, source, runs, now, proved: (run) => proved.has(provedKey(run)) })
    for (const { run } of wanted) {
      if (!known.has(run)) open.push({ source, run, why: "the archive does not have it" })
      for (const { why, until } of reasons.get(run) ?? []) {
        if (until === null) open.push({ source, run, why })
        else if (until > after) after = until
      }
    }
  }
  return { after: open.length === 0 ? after : null, open }
}
