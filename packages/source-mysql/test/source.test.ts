// A real server as a source: the contract of all sources in whole runs, and what it is that comes back.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { isFault, type SourceEntry } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { signal } from "../../trust/test/archive.ts"
import { mysqlSource, type MysqlSourceOptions } from "../src/index.ts"
import { Server } from "./server.ts"

let server: Server
before(async () => {
  server = await Server.start("--log-bin=binlog", "--server-id=1")
  server.sql("CREATE USER saver IDENTIFIED BY 'pass word'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR ON *.* TO saver")
})
after(async () => {
  await server.end()
})

function sourceOf(more: Partial<MysqlSourceOptions> = {}) {
  const options = { schemas: [], now: () => new Date("2026-11-24T08:00:00.700Z") }
  return mysqlSource({ ...server.access("saver", "pass word"), ...options, ...more })
}

test("first", async () => {
  server.sql("CREATE DATABASE a; CREATE TABLE a.t (id INT PRIMARY KEY, v TEXT); INSERT INTO a.t VALUES (1,'x\\'y\\n'),(2,NULL); CREATE VIEW a.v AS SELECT * FROM a.t; CREATE DATABASE `b/c`")
  const machine = await makeMachine(sourceOf())
  const result = await machine.backup(machine.store)
  assert.equal(result.outcome, "complete")
  for (const [path, text] of await machine.content(machine.store, "latest")) console.log(`=== ${path}\n${text}`)
})
