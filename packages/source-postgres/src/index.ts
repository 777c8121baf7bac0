export type { PostgresAccess } from "./server.ts"
export { type PostgresSourceOptions, postgresSource } from "./source.ts"
