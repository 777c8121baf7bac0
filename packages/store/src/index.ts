// The ports of an archive, its stores and their wrappers.

export { type Body, bodyPieces, type Spool, spoolFault } from "./body.ts"
export * from "./directory.ts"
export * from "./memory.ts"
export * from "./names.ts"
export type * from "./ports.ts"
export * from "./rights.ts"
export { type Credentials, type S3Options, s3Store } from "./s3.ts"
export * from "./url.ts"
export { type Method } from "./wrap/around.ts"
export * from "./wrap/faults.ts"
export * from "./wrap/observe.ts"
export * from "./wrap/retry.ts"
