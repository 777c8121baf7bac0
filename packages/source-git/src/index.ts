export { type GitSourceOptions, gitSource } from "./source.ts"
export { type GitTargetOptions, gitTarget } from "./target.ts"
