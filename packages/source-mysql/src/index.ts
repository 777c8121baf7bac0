export { type MysqlAccess } from "./access.ts"
export { compareRows, ROWS_FILE } from "./rows.ts"
export { type MysqlSourceOptions, mysqlSource } from "./source.ts"
export { type MysqlTargetOptions, mysqlTarget } from "./target.ts"
