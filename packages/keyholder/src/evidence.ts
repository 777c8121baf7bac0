// The runs a request brings as evidence: every receipt with its sums and signature, and key.gpg. Nothing here opens
// anything. After `judgeRun` each byte of them is one that the source signed, for this archive, source and run.
//
// Not promised: when a signature arrived in the store. A holder works offline and can't know; where a key of a source was
// ended (`accept_until`), the receipt's own `finished` is held against that time instead. A false receipt gains nothing by
// it, since key.gpg must still hold the text and the check value of the very run it is released for.

import { createHash } from "node:crypto"
import {
  BackupError,
  names,
  type ObjectRecord,
  type Receipt,
  type ReleaseRequest,
  receiptCodec,
} from "@backup-cloud/format"
import { type Commit, joinObjects, judgeCommit, type Trust } from "@backup-cloud/trust"

/** A run whose receipts were all found good. */
export interface JudgedRun {
  readonly source: string
  readonly run: string
  /** key.gpg; empty where only the receipts were asked for. */
  readonly key: Uint8Array
  /** In order from number 1. */
  readonly commits: readonly Commit[]
  /** The last receipt, which speaks for the run. */
  readonly last: Receipt
  /** All objects of the run by base name. */
  readonly objects: ReadonlyMap<string, ObjectRecord>
}

type Evidence = ReleaseRequest["evidence"][number]

export const refuse = (message: string, hint?: string): BackupError =>
  new BackupError("refused", message, hint === undefined ? {} : { hint })

/**
 * Checks one run of a request's evidence, and its key.gpg unless `keyless`, where the evidence brings something else in its
 * place; throws `refused` or `tampered`, naming the object that is wrong.
 */
export async function judgeRun(
  evidence: Evidence,
  source: string,
  trust: Trust,
  signal: AbortSignal,
  keyless = false,
): Promise<JudgedRun> {
  const { run } = evidence
  const folder = names.runDirectory(source, run)
  const commits: Commit[] = []
  for (const [index, each] of evidence.receipts.entries()) {
    const number = index + 1
    const bytes = {
      receipt: Buffer.from(each.receipt, "base64"),
      sums: Buffer.from(each.sums, "base64"),
      signature: Buffer.from(each.signature, "base64"),
    }
    const { finished } = receiptCodec.decode(bytes.receipt, folder + names.receipt(number))
    const before = commits.at(-1) ?? null
    const commit = await judgeCommit(trust, { source, run, number }, bytes, before, new Date(finished), signal)
    if (before !== null && before.receipt.check !== commit.receipt.check)
      throw refuse(`${folder}${names.receipt(number)}: has another check value than the receipt before`)
    if (commit.receipt.release !== "any") throw refuse(`${folder}: ${thresholdMessage}`)
    commits.push(commit)
  }
  const last = commits.at(-1)?.receipt
  if (last === undefined) throw refuse(`${folder}: the request brings no receipt of it`)
  const objects = joinObjects(commits)
  if (keyless) return { source, run, key: new Uint8Array(0), commits, last, objects }
  const key = Buffer.from(evidence.key, "base64")
  const record = objects.get(names.key)
  if (record?.length !== key.length || record.sha256 !== createHash("sha256").update(key).digest("hex"))
    throw refuse(`${folder}${names.key}: is not the file that the receipt names`, "ask the operator for the right one")
  return { source, run, key, commits, last, objects }
}

export const thresholdMessage = "needs several holders together (threshold), which this version cannot release"

/** The links among the runs that are here: `uses` and `previous` name states that these runs have. */
export function checkLinks(runs: ReadonlyMap<string, JudgedRun>): void {
  for (const { source, run, last } of runs.values()) {
    const object = names.runDirectory(source, run) + names.receipt(last.number)
    const previous = last.previous.map((line) => line.split(" "))
    const links = [...last.uses, ...previous.map(([id = "", sums = ""]) => ({ run: id, sums }))]
    for (const link of links) {
      const other = runs.get(link.run)
      if (other === undefined) continue
      const commit = other.commits.find((each) => each.sums === link.sums)
      if (commit === undefined)
        throw refuse(`${object}: relies on a state of run ${link.run} that the request does not show`)
      if (commit.receipt.policy > last.policy)
        throw refuse(`${object}: names an older policy than run ${link.run}, which it follows`)
    }
  }
}
