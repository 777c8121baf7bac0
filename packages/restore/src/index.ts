// From an archive and a release back to data: request, release, plan, restore. Nothing here holds a holder's key.

export * from "./catalogue.ts"
export * from "./content.ts"
export { fetchObject } from "./fetch.ts"
export { openObject } from "./open.ts"
export * from "./plan.ts"
export * from "./release.ts"
export * from "./request.ts"
export * from "./restore.ts"
export * from "./salvage.ts"
export * from "./view.ts"
