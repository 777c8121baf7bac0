// Which runs stay, which go, and taking away what goes.

export * from "./apply.ts"
export * from "./disk.ts"
export * from "./keep.ts"
export * from "./plan.ts"
export * from "./sightings.ts"
export { readSightings, type Sightings, writeSightings } from "./sightings-file.ts"
export type * from "./state.ts"
export * from "./survey.ts"
export type { ExpiryEvent, KeptObject, SweepInput } from "./sweep.ts"
