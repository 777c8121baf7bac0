// Co-signing a proposed policy. The administrator alone can't change who the key holders are: a change of holders or of the
// release rule needs the signature of a holder who is present now. The proposal is a file; what changes is said in plain
// words before it is signed, and the ledger has its line first.
//
// The proposal brings the policy before it on the administrator's word only. What the holder remembers decides: an older
// or another policy than was seen is refused, and one that was never seen is pointed out.

import { BackupError, escapeControl, isFault, timeText } from "@backup-cloud/format"
import type { Signer, Verifier } from "@backup-cloud/openpgp"
import {
  cosignPolicy,
  decodeProposal,
  encodeProposal,
  judgeProposal,
  needsCosign,
  type Proposal,
  policyDigest,
} from "@backup-cloud/trust"
import { policyDifferences } from "./differences.ts"
import { refuse } from "./evidence.ts"
import type { Ledger, LedgerEntry } from "./ledger.ts"
import { type HolderMemory, joinMemory, noMemory, recall } from "./memory.ts"

export interface ProposalInput {
  /** The file as the administrator sent it. */
  readonly proposal: Uint8Array
  /** The administrator's certificate file, which this machine keeps since it pinned the fingerprint. */
  readonly administratorFile: Uint8Array
  /** Fingerprint that this machine pinned. */
  readonly administrator: string
  readonly ledger: Ledger
  readonly memory?: HolderMemory
  readonly verifier: Verifier
  readonly signal: AbortSignal
}

export interface ProposalReview {
  readonly proposal: Proposal
  /** What changes, in plain words. */
  readonly differences: readonly string[]
  /** How many present holders must sign for it to count; 0 if none. */
  readonly needed: number
  readonly notices: readonly string[]
}

/** Throws `refused` for a proposal that must not be signed. */
export async function reviewProposal(input: ProposalInput): Promise<ProposalReview> {
  try {
    return await check(input)
  } catch (error) {
    if (!isFault(error, "tampered")) throw error
    throw new BackupError("refused", error.message, { cause: error })
  }
}

async function check(input: ProposalInput): Promise<ProposalReview> {
  const { verifier, signal } = input
  const object = "proposed policy"
  const proposal = decodeProposal(Buffer.from(input.proposal).toString("utf8"), object)
  const administrator = await verifier.certificate(input.administratorFile, "the administrator's certificate", signal)
  if (administrator.fingerprint !== input.administrator)
    throw refuse("the administrator's certificate is not the one whose fingerprint was pinned")
  await judgeProposal(proposal, administrator, verifier, signal)
  const { before, after } = proposal
  if (before === null) throw refuse("a first policy needs no holder's signature")
  const memory = joinMemory(recall(input.ledger, after.archive), input.memory ?? noMemory)
  checkMemory(memory, before.number, policyDigest(before))
  const notices: string[] = []
  if (memory.policy === null || memory.policy.number < before.number)
    notices.push(`You have not seen policy ${before.number} before, from which this one starts.`)
  return { proposal, differences: policyDifferences(before, after), needed: needsCosign(before, after), notices }
}

function checkMemory(memory: HolderMemory, number: number, sha256: string): void {
  if (memory.policy === null) return
  if (number < memory.policy.number)
    throw refuse(
      `the proposed policy starts from policy ${number}, but policy ${memory.policy.number} was seen before`,
      "the administrator has to propose it again, from the newest policy",
    )
  if (number === memory.policy.number && memory.policy.sha256 !== "" && memory.policy.sha256 !== sha256)
    throw refuse(`the proposed policy starts from another policy ${number} than the one that was seen before`)
}

/** The proposal in plain words, safe for a terminal. */
export function describeProposal(review: ProposalReview): string[] {
  const { proposal, differences, needed, notices } = review
  const { after } = proposal
  const lines = [
    `Proposed policy ${after.number} of archive ${after.archive}`,
    `  made at     ${after.created}`,
    `  digest      ${policyDigest(after)}`,
    ...(differences.length === 0 ? ["nothing but its number"] : differences).map((each) => `  change      ${each}`),
    needed > 0
      ? `  note        It changes who can open backups: it needs the signature of ${needed} present holder${needed === 1 ? "" : "s"}.`
      : "  note        It does not change who can open backups: it counts without your signature.",
    ...notices.map((notice) => `  note        ${notice}`),
  ]
  return lines.map((line) => escapeControl(line))
}

export interface CosignInput {
  readonly review: ProposalReview
  readonly signer: Signer
  readonly ledger: Ledger
  readonly now: Date
  readonly signal: AbortSignal
}

/** The proposal with this holder's signature added, as a file to send back. Throws `refused` if the holder is not present. */
export async function cosign(input: CosignInput): Promise<{ readonly file: Uint8Array; readonly entry: LedgerEntry }> {
  const { review, signer, ledger, now, signal } = input
  const { before, after } = review.proposal
  if (review.needed === 0 || before === null)
    throw new BackupError("usage", `policy ${after.number} needs no holder's signature`, {
      hint: "it does not change the holders or the release rule",
    })
  const signed = await cosignPolicy(review.proposal, signer, signal)
  const entry = await ledger.append({
    time: timeText(now),
    decision: "cosign",
    archive: after.archive,
    request: "",
    operator: "",
    source: "",
    run: "",
    kind: "policy",
    reason: `policy ${after.number}, ${policyDigest(after)}: ${review.differences.join(" ")}`,
    secrets: 0,
    // The proposal itself is not remembered as seen: it may never come into force.
    policy: { number: before.number, sha256: policyDigest(before) },
    erasures: 0,
    seen: [],
  })
  return { file: new TextEncoder().encode(encodeProposal(signed)), entry }
}
