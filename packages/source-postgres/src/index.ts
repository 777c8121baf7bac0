export { type Address, parseAddress } from "./address.ts"
export { type PostgresEvent, type PostgresRestoreOptions, type RestoredFile, restoreDatabases } from "./restore.ts"
export type { PostgresAccess } from "./server.ts"
export { type PostgresSourceOptions, postgresSource } from "./source.ts"
