// What the command line needs of this package besides its functions. It may change with every version; programs use the
// package itself.

export { backupSource, type SourceEvent } from "./backup.ts"
export {
  chooseForDrill,
  type DrillKey,
  drillRun,
  type FinishedDrill,
  openForDrill,
  ownResults,
  publishFile,
  verifiedSources,
} from "./drill.ts"
export { describeSealed, notedFiles, type SealedFile, sealFile } from "./handed.ts"
export { Machine } from "./machine.ts"
export { expectAbsent, makeWhole, readNamed } from "./named.ts"
export { recoveryFile } from "./recovery.ts"
export { type OpenRun, openReleased, openReleases } from "./releases.ts"
export { planOf, restoreName, shortfall } from "./restore.ts"
export { type ChosenRun, findRun } from "./run-name.ts"
export * from "./secrets.ts"
export { gravest, verifyWhole } from "./verify.ts"
