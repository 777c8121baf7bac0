// A file that a script sealed, or an earlier system left: what a request brings of it, held against what a receipt of its
// source or the policy records. Its session key is released for exactly the recorded key packets, since whoever answers for
// others would open anything that was ever encrypted to the holder.

import { createHash } from "node:crypto"
import { type Handed, RECORDED, type ReleaseRequest } from "@backup-cloud/format"
import { checkPkesks, walkPackets } from "@backup-cloud/openpgp"
import { type JudgedRun, refuse } from "./evidence.ts"
import type { Policies } from "./policies.ts"

export interface HandedFile extends Handed {
  /** The PKESK packets whose digest is `pkesk`. */
  readonly pkesks: Uint8Array
  /** The run whose receipt records it; `null` if the policy does. */
  readonly run: JudgedRun | null
}

/** Whether the request is for a file that the policy itself records. */
export function isRecorded({ kind, source, run }: ReleaseRequest): boolean {
  return kind === "object" && source === RECORDED.source && run === RECORDED.run
}

/** Throws `refused` unless the request is for one recorded file and brings its key packets and nothing else. */
export function checkHanded(
  request: ReleaseRequest,
  policies: Policies,
  runs: ReadonlyMap<string, JudgedRun>,
): HandedFile {
  const [evidence, ...more] = request.evidence
  if (request.wants.length > 0) throw refuse("a request for a sealed file asks for objects of runs as well")
  if (evidence === undefined || more.length > 0 || evidence.run !== request.run)
    throw refuse("a request for a sealed file must bring its key packets and the receipts of one run")
  const pkesks = Buffer.from(evidence.key, "base64")
  const packets = walkPackets(pkesks, "the key packets", "refused")
  if (packets.length === 0 || !packets.every(({ tag, body }) => tag === 1 && pkesks[body] === 3))
    throw refuse("the request brings something else than key packets")
  const pkesk = createHash("sha256").update(pkesks).digest("hex")
  const find = (list: readonly Handed[]): Handed => {
    const record = list.find((each) => each.pkesk === pkesk && each.file === request.object)
    if (record !== undefined) return record
    throw refuse(
      `nothing records a file ${request.object} with these key packets`,
      "what they open may be anything: deny it, and ask the operator where the file is from",
    )
  }
  if (isRecorded(request)) return { ...find(policies.newest.handed ?? []), pkesks, run: null }
  const run = runs.get(request.run)
  if (run === undefined) throw refuse(`the request brings no receipts of run ${request.run}`)
  const record = find(run.last.handed)
  // Runs are sealed to verifiers as well; files are not, which nobody restores without a holder.
  const verifiers = policies.newest.verifiers ?? []
  const isHolder = (recipient: string): boolean => !verifiers.some(({ fingerprint }) => fingerprint === recipient)
  const certificates = run.last.recipients.filter(isHolder).map((fingerprint) => {
    const entry = policies.newest.holders.find((holder) => holder.fingerprint === fingerprint)
    const certificate = policies.trust.certificates.get(entry?.sha256 ?? "")
    if (certificate === undefined) throw refuse(`the policy has no certificate of the recipient ${fingerprint}`)
    return certificate
  })
  checkPkesks(pkesks, certificates, `the file ${request.object}`)
  return { ...record, pkesks, run }
}
