// The objects of an S3 bucket as a source, and the way back.

export type { Credentials, S3Place } from "./bucket.ts"
export type { Encryption } from "./encryption.ts"
export { pathsOfObject } from "./paths.ts"
export { type KeyRange, type KeyShare, type Shard, shardRanges } from "./shards.ts"
export { type S3SourceOptions, s3Source } from "./source.ts"
export { type S3TargetOptions, s3Target } from "./target.ts"
