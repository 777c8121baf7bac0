// Making backups. See docs/design.md, "How data flows through the code".

export { backup } from "./backup.ts"
export type { BackupEvent, BackupOptions, BackupResult } from "./options.ts"
export { startWorkers } from "./pool.ts"
