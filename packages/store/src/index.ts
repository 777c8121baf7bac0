// The ports of an archive, its stores and their wrappers.

export * from "./directory.ts"
export * from "./memory.ts"
export * from "./names.ts"
export type * from "./ports.ts"
