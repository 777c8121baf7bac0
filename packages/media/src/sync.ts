// Brings a disk up to date. Nothing is written before the archive was compared with what the disk remembers. A run counts on
// the disk once its objects were read back and noted; so whatever breaks off is gone on with, and what was whole stays whole.
//
// Order: configuration; of each source the newest run with all that it uses, then the receipts of all its runs, so that this
// run restores from here alone; then the other runs; last the disk's memory and the signed statement.

import { BackupError } from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import { loadTrust, memoryInMemory, newMemory, type Problem } from "@backup-cloud/trust"
import { copyBase, copySigned, highestOf } from "./base.ts"
import { Copying, type CopyOptions } from "./copying.ts"
import { runKey, writeMemory } from "./memory.ts"
import { expectPar2 } from "./parity.ts"
import type { PreparedSync } from "./prepare.ts"
import type { Through } from "./read-back.ts"
import { spaceOf } from "./space.ts"
import { makeStatement } from "./state-it.ts"
import { carryStatement, publishStatement } from "./statements.ts"

export interface SyncOptions extends CopyOptions {
  readonly signer: Signer
  readonly now: () => Date
  /** Id of the statement, of the form of a run id. */
  readonly statement: string
}

export interface SyncResult {
  readonly objects: number
  readonly bytes: number
  /** How what was copied was read back; empty if nothing was. */
  readonly through: ReadonlySet<Through>
  /** What is wrong in the archive; what it is of was not copied. */
  readonly problems: readonly Problem[]
}

/** Acts on a plan. Throws for what keeps it from going on: the disk, the way to the archive, a signature. */
export async function sync(prepared: PreparedSync, options: SyncOptions): Promise<SyncResult> {
  const { trust, reader, disk, memory, plan, examined } = prepared
  const { signal, onEvent } = options
  const problems: Problem[] = []
  const tell = (...found: readonly Problem[]): void => {
    for (const each of found) {
      problems.push(each)
      onEvent({ event: "problem", ...each })
    }
  }
  tell(...examined.problems, ...prepared.statements.problems)
  if (disk.identity.parity > 0) await expectPar2(signal)
  // Whole first, so that what is noted from now on follows it.
  await writeMemory(disk, memory)
  await copyBase(reader, disk, signal)
  tell(...(await copySigned(trust, reader, disk, signal)))
  const work = new Copying(prepared, options, tell)
  for (const step of plan.steps) await work.step(step)
  for (const source of new Set([...examined.judged.values()].map((run) => run.source))) await work.receipts(source)
  await work.settle()
  memory.policy = { number: trust.policy.number, sha256: trust.policyDigest }
  await writeMemory(disk, memory)
  await readable(prepared, signal)
  await state(prepared, options, problems.length)
  return { objects: work.objects, bytes: work.bytes, through: work.through, problems }
}

/** The disk must give the same policy as the archive, by the same fingerprint. */
async function readable({ trust, disk }: PreparedSync, signal: AbortSignal): Promise<void> {
  const { fingerprint } = trust.administrator
  const own = await loadTrust({
    reader: disk.store,
    verifier: trust.verifier,
    admin: fingerprint,
    home: memoryInMemory(newMemory(fingerprint)),
    signal,
  })
  if (own.policyDigest === trust.policyDigest) return
  throw new BackupError("tampered", `${disk.path}: gives policy ${own.policy.number}, and the archive another one`, {
    hint: "prepare another disk, and find out who changed this one",
  })
}

async function state(prepared: PreparedSync, options: SyncOptions, problems: number): Promise<void> {
  const { trust, reader, disk, memory, media, mates, statements } = prepared
  const { signer, signal, now } = options
  const { free, used } = await spaceOf(disk.path)
  const statement = makeStatement({
    ...{ identity: disk.identity, action: "sync", operator: signer.fingerprint, now: now(), problems, free, used },
    before: media.get(disk.identity.medium) ?? null,
    mates: mates.map((mate) => mate.id),
    policy: trust.policy.number,
    expiries: await highestOf(disk, "expiries/", signal),
    erasures: await highestOf(disk, "erasures/", signal),
    heads: headsAfter(prepared),
    runs: memory.runs.values(),
  })
  // What either lacks of the statements so far, then this one: on the disk first, since that is what it tells of.
  for (const name of statements.all.keys()) {
    const here = await disk.store.stat(`${name}.sig`, signal)
    const there = await reader.stat(`${name}.sig`, signal)
    if (here === null) await carryStatement(name, reader, disk.store, signal)
    if (there === null) await carryStatement(name, disk.store, reader, signal)
  }
  await publishStatement(statement, options.statement, signer, [disk.store, reader], signal)
}

/** The heads that the disk saw before and those of what is new, without what that names as its predecessors. */
function headsAfter({ examined, media, disk }: PreparedSync) {
  const judged = [...examined.judged.values()]
  const followed = new Set(
    judged.flatMap(({ source, receipt }) =>
      receipt.previous.map((line) => runKey({ source, run: line.slice(0, line.indexOf(" ")) })),
    ),
  )
  const heads = new Map(media.get(disk.identity.medium)?.last.heads.map((head) => [runKey(head), head]))
  for (const { source, run, sumsDigest: sums } of judged) heads.set(runKey({ source, run }), { source, run, sums })
  for (const key of followed) heads.delete(key)
  return [...heads.values()]
}
