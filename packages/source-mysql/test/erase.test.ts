// Rows that were erased, in a server that was restored into.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { type Erasure, isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { Erasing } from "../../restore/src/index.ts"
import { makeSaver, restoreInto, sourceOf } from "./helpers.ts"
import { Server } from "./server.ts"

let server: Server
let other: Server
let machine: Machine

before(async () => {
  ;[server, other] = await Promise.all([Server.start(), Server.start()])
  makeSaver(server)
  server.sql(
    "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);" +
      "CREATE VIEW v AS SELECT id FROM t; CREATE DATABASE wiki; CREATE TABLE wiki.t (id INT)",
  )
  machine = await makeMachine(sourceOf(server))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
})
after(async () => {
  await Promise.all([server.end(), other.end()])
})

const erasing = (...sql: readonly string[]): Erasing => {
  const common = {
    format: "backup-cloud/1",
    type: "erasure",
    archive: "0".repeat(32),
    created: "",
    previous: "",
  } as const
  const empty = { source: "db", until: "", reason: "", ticket: "", paths: [], files: [], replaces: [] }
  const records = sql.map(
    (text, i): Erasure => ({
      ...{ ...common, ...empty, number: i + 1, database: "shop" },
      sql: Buffer.from(text).toString("base64"),
    }),
  )
  return new Erasing(records)
}
const ids = (): string => other.sql("SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t")

test("they are deleted once all is loaded, in their schema; without the record they are there", async () => {
  const sql = erasing("DELETE FROM t WHERE id = 2;\n", "DELETE FROM t WHERE id IN (SELECT id FROM v WHERE id = 3)")
  const { erased } = await restoreInto(machine, other, { erasing: sql, verify: true })
  assert.deepEqual(
    erased.map(({ number, database, how }) => [number, database, how]),
    [
      [1, "shop", "ran"],
      [2, "shop", "ran"],
    ],
  )
  assert.equal(ids(), "1")
  const again = await restoreInto(machine, other, { overwrite: true })
  assert.deepEqual(again.erased, [])
  assert.equal(ids(), "1,2,3")
})

test("where their schema is not restored nothing is run", async () => {
  const wanted = (path: string): boolean => path.endsWith("/wiki.sql")
  const { erased } = await restoreInto(machine, other, { overwrite: true, wanted, erasing: erasing("DELETE FROM t") })
  assert.equal(erased[0]?.how, "apart")
  assert.equal(ids(), "1,2,3")
})

test("SQL that the server does not take fails the restore, and the error says what still lies there", async () => {
  const sql = erasing("DELETE FROM nowhere;", "DELETE FROM t;")
  const failed: unknown = await restoreInto(machine, other, { overwrite: true, erasing: sql }).catch((e: unknown) => e)
  assert.ok(isFault(failed, "incomplete"), String(failed))
  assert.match(failed.message, /the schema shop still holds what erasure 1 names: do not use it/)
})
