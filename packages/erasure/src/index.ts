// The administrator's side of erasures: recording that some data must not come back, and saying it again for people who came
// later. It opens nothing: what was recorded is kept in the administrator's home, and lies sealed in the archive.

export { type KeptErasures, keptErasures } from "./kept.ts"
export { addErasure, type ErasureDraft, type Recording, renewErasures } from "./record.ts"
