// Restores that are timed, compared and can fail, and what was learnt from them.

export * from "./choose.ts"
export { type Comparer, type Comparison, compareTree, type Difference } from "./compare.ts"
export * from "./drill.ts"
export * from "./estimate.ts"
export * from "./results.ts"
export { openScratch, type Scratch } from "./scratch.ts"
export { verifierSecrets } from "./verifier.ts"
