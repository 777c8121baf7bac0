// For programs that back up what they know best: four functions, and the words of those who write sources and targets.

export type { BackupResult } from "@backup-cloud/backup"
export type { DrillEvent } from "@backup-cloud/drill"
export {
  BackupError,
  type CatalogueEntry,
  type Content,
  type DrillResult,
  EntryError,
  type EntryType,
  type Fault,
  type FileContent,
  fromByteString,
  isFault,
  type OpenedContent,
  type Outcome,
  type Source,
  type SourceEntry,
  type StreamContent,
  type Target,
  type TargetProblem,
  timeField,
  toByteString,
} from "@backup-cloud/format"
export type { RestoreEvent, Wanted } from "@backup-cloud/restore"
export type { VerifyEvent, VerifyReport } from "@backup-cloud/trust"
export type { SourceEvent } from "./backup.ts"
export {
  type ArchiveOptions,
  type BackupCall,
  backup,
  type DrillCall,
  drill,
  NotWholeError,
  type RestoreCall,
  type RestoredRun,
  restore,
  type VerifyCall,
  verify,
} from "./library.ts"
