// Offline disks of an archive: prepare them, bring them up to date, read them through, know which holds what.

export * from "./identity.ts"
export * from "./init.ts"
export * from "./memory.ts"
export * from "./mounts.ts"
export * from "./plan.ts"
export * from "./prepare.ts"
export * from "./read-back.ts"
export * from "./space.ts"
export * from "./statements.ts"
export * from "./sync.ts"
export { type Expired } from "./tripwire.ts"
