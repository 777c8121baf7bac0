// Making backups. See docs/design.md, "How data flows through the code".

export { type BackupEvent, type BackupOptions, type BackupResult, backup } from "./backup.ts"
