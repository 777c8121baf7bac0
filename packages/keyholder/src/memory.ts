// What a holder remembers of an archive, so that an older state of it is not taken for the newest: the highest policy, and
// for each run the highest sums seen. It comes from the ledger, and from whatever else the holder's home has seen of the
// archive. Only what somebody's signature proves is remembered so: a number that an operator merely claims, as that of
// erasures, would let one operator have all later requests refused.

import { BackupError } from "@backup-cloud/format"
import type { Memory } from "@backup-cloud/trust"
import type { Ledger, SeenRun } from "./ledger.ts"

export interface HolderMemory {
  /** Highest policy seen, and the digest of its file; `null` if none was. `sha256` is `""` where only the number is known. */
  readonly policy: { readonly number: number; readonly sha256: string } | null
  /** The highest erasure that this home knows of; 0 for none. */
  readonly erasures: number
  readonly seen: readonly SeenRun[]
}

export const noMemory: HolderMemory = { policy: null, erasures: 0, seen: [] }

/** What the ledger knows of `archive`. */
export function recall(ledger: Ledger, archive: string): HolderMemory {
  return ledger.entries
    .filter((entry) => entry.archive === archive)
    .reduce<HolderMemory>((memory, { policy, seen }) => joinMemory(memory, { policy, seen, erasures: 0 }), noMemory)
}

/** What this home remembers besides the ledger, where it was also used to look at an archive. */
export function memoryOfHome(memory: Memory): HolderMemory {
  const seen = Object.entries(memory.heads).flatMap(([source, heads]) => heads.map((head) => ({ source, ...head })))
  return { policy: memory.policy, erasures: memory.erasures?.number ?? 0, seen }
}

/** Both memories together: the higher number of each counts. */
export function joinMemory(a: HolderMemory, b: HolderMemory): HolderMemory {
  const seen = new Map<string, SeenRun>()
  for (const each of [...a.seen, ...b.seen]) {
    const key = `${each.source} ${each.run}`
    const known = seen.get(key)
    if (known === undefined || known.number < each.number) seen.set(key, each)
  }
  return {
    policy: (a.policy?.number ?? 0) >= (b.policy?.number ?? 0) ? a.policy : b.policy,
    erasures: Math.max(a.erasures, b.erasures),
    seen: [...seen.values()],
  }
}

/**
 * Throws `refused` if a policy chain is older than, or another one than, what is remembered.
 * @param digests of the policy files, in order from number 1
 */
export function checkPolicyMemory(memory: HolderMemory, digests: readonly string[]): void {
  if (memory.policy === null) return
  const { number, sha256 } = memory.policy
  if (digests.length < number)
    throw new BackupError(
      "refused",
      `the newest policy here is number ${digests.length}, but number ${number} was seen before`,
      {
        hint: "somebody shows you an older state of the archive; ask the administrator",
      },
    )
  if (sha256 !== "" && digests[number - 1] !== sha256)
    throw new BackupError("refused", `policy ${number} is another one than the policy ${number} that was seen before`, {
      hint: "ask the administrator which of the two is right",
    })
}

/**
 * Throws `refused` if a run is shown with fewer receipts, or other ones, than are remembered.
 * @param sums digests of the run's SHA256SUMS files, in order from number 1
 */
export function checkRunMemory(memory: HolderMemory, source: string, run: string, sums: readonly string[]): void {
  const known = memory.seen.find((each) => each.source === source && each.run === run)
  if (known === undefined) return
  const object = `backup/${source}/${run}/`
  if (sums.length < known.number)
    throw new BackupError(
      "refused",
      `${object}: shown with ${sums.length} receipts, but receipt ${known.number} was seen before`,
      {
        hint: "somebody shows you an older state of the run; ask the operator for a complete request",
      },
    )
  if (sums[known.number - 1] !== known.sums)
    throw new BackupError("refused", `${object}: receipt ${known.number} is another one than was seen before`)
}
