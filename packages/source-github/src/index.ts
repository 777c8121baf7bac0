export { type GithubAccess } from "./api.ts"
export { type GithubSourceOptions, githubSource } from "./source.ts"
export { type GithubTargetOptions, githubTarget } from "./target.ts"
