// Prepares a disk: its identity, then what every disk carries, then the first statement about it.

import type { MediumIdentity } from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import type { Trust } from "@backup-cloud/trust"
import { copyBase } from "./base.ts"
import { type Disk, markDisk, type NewDisk } from "./identity.ts"
import { spaceOf } from "./space.ts"
import { makeStatement } from "./state-it.ts"
import { publishStatement } from "./statements.ts"

export interface InitOptions {
  readonly trust: Trust
  readonly reader: ArchiveReader & ArchiveWriter
  readonly signer: Signer
  /** Identities of other disks. */
  readonly known: readonly MediumIdentity[]
  readonly now: Date
  readonly random: (bytes: number) => Uint8Array
  /** Id of the statement, of the form of a run id. */
  readonly statement: string
  readonly signal: AbortSignal
}

/** Throws as `markDisk`. What breaks off after the identity was written, a sync finishes. */
export async function initDisk(wanted: NewDisk, options: InitOptions): Promise<Disk> {
  const { trust, reader, signer, known, now, random, signal } = options
  const disk = await markDisk(wanted, trust, known, now, random, signal)
  await copyBase(reader, disk, signal)
  const statement = makeStatement({
    ...{ identity: disk.identity, action: "init", operator: signer.fingerprint, now, before: null, mates: [] },
    ...(await spaceOf(disk.path)),
    ...{ policy: trust.policy.number, expiries: 0, erasures: 0, heads: [], runs: [], problems: 0 },
  })
  await publishStatement(statement, options.statement, signer, [disk.store, reader], signal)
  return disk
}
