export { type MysqlAccess } from "./access.ts"
export { type MysqlSourceOptions, mysqlSource } from "./source.ts"
export { type MysqlTargetOptions, mysqlTarget } from "./target.ts"
