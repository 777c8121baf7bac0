export { type Globs, globs } from "@backup-cloud/format"
export { type DirSourceOptions, dirSource } from "./source.ts"
export { type DirTargetOptions, dirTarget } from "./target.ts"
