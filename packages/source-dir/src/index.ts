export { type Globs, globs } from "./globs.ts"
export { type DirSourceOptions, dirSource } from "./source.ts"
export { type DirTargetOptions, dirTarget } from "./target.ts"
