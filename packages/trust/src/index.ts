// Who may do what in an archive, and whether what lies in it is what they signed.

export * from "./erasures.ts"
export {
  checkExpiries,
  type Expired,
  type Expiries,
  NO_EXPIRIES,
  notFollowing as notFollowingList,
  readExpiries,
  takenBy,
} from "./expiries.ts"
export { usedObjects } from "./graph.ts"
export { type Commit, type CommitBytes, type CommitPlace, joinObjects, judgeCommit } from "./judge.ts"
export * from "./keeping.ts"
export * from "./load.ts"
export * from "./memory.ts"
export * from "./policy.ts"
export * from "./problems.ts"
export * from "./proposal.ts"
export * from "./publish.ts"
export { hashObject, intactVersion, readObject } from "./read.ts"
export { keepHeads, rememberRuns, rolledBack } from "./rollback.ts"
export * from "./runs.ts"
export * from "./select.ts"
export type { Trust } from "./trust.ts"
export * from "./verify.ts"
