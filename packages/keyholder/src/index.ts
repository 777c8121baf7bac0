// Review of requests, release of keys, the ledger: what a key holder's machine needs and nothing else needs.

export { type Approval, type ApproveInput, approve, deny, type Narrow } from "./approve.ts"
export {
  type CosignInput,
  cosign,
  describeProposal,
  type ProposalInput,
  type ProposalReview,
  reviewProposal,
} from "./cosign.ts"
export { type Ledger, type LedgerEntry, openLedger } from "./ledger.ts"
export { type HolderMemory, memoryOfHome } from "./memory.ts"
export { describeReview, LONGEST_VALIDITY_MS, type Review, type ReviewInput, reviewRequest } from "./review.ts"
export type { WantedObject } from "./wants.ts"
