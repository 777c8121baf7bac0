export { type GitSourceOptions, gitSource } from "./source.ts"
