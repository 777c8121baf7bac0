// A real server as a source: the contract of all sources in whole runs, and what it is that comes back.

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, beforeEach, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { contentOf, makeSaver, restoreInto, sourceOf } from "./helpers.ts"
import { Server } from "./server.ts"

let server: Server
let other: Server
const script = readFileSync(join(import.meta.dirname, "content.sql"), "latin1")

before(async () => {
  server = await Server.start("--log-bin=binlog", "--server-id=1")
  other = await Server.start()
})
after(async () => {
  await server.end()
  await other.end()
})
beforeEach(() => {
  other.reset()
  server.reset()
  makeSaver(server)
})

/** Everything that a server can hold. */
function fill(): void {
  server.sql(script)
  // Who defines a view whose column is a function's may not be enough.
  server.sql("GRANT EXECUTE ON FUNCTION shop.twice TO saver")
}

async function backUp(machine: Machine): Promise<string> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  const { outcome, run } = await machine.backup(machine.store)
  assert.equal(outcome, "complete")
  return run
}

sourceContract("mysql", { broken: "failed", loses: false }, async () => {
  server.sql(
    "CREATE DATABASE one; CREATE DATABASE two; USE one; CREATE TABLE t (id INT PRIMARY KEY, v TEXT); " +
      "INSERT INTO t SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_5000; CREATE VIEW v AS SELECT id FROM t",
  )
  const source = sourceOf(server)
  let content = await contentOf(source)
  return {
    source,
    content: () => content,
    attributes: () => ({}),
    change: async () => {
      server.sql("UPDATE one.t SET v = 'changed' WHERE id = 2500")
      content = await contentOf(source)
      return "1-tables/one.sql"
    },
    // A dump of a view that cannot be resolved comes to its end amidst.
    breakOff: async () => {
      server.sql("CREATE VIEW two.broken AS SELECT * FROM one.t; ALTER TABLE one.t RENAME TO one.away")
      return async () => {
        server.sql("ALTER TABLE one.away RENAME TO one.t; DROP VIEW two.broken")
        content = await contentOf(source)
      }
    },
  }
})

test("everything comes back into an empty server, of both runs, and reads back as it was", async () => {
  fill()
  const machine = await makeMachine(sourceOf(server))
  const before = server.portrait()
  assert.ok(before.length > 60)
  const first = await backUp(machine)
  server.sql(
    "UPDATE shop.customers SET note = CONCAT(IFNULL(note, ''), '!'); DELETE FROM shop.orders WHERE id MOD 7 = 3; DROP DATABASE empty;" +
      "DROP PROCEDURE shop.note; CREATE PROCEDURE shop.note() SELECT 2; DROP TRIGGER shop.first; REVOKE SELECT ON shop.* FROM reader; DROP USER old; SELECT NEXTVAL(shop.numbers); ALTER TABLE shop.log ADD more INT FIRST; CREATE OR REPLACE VIEW shop.above AS SELECT 1 AS one",
  )
  const changed = server.portrait()
  assert.notDeepEqual(changed, before)
  const second = await backUp(machine)
  for (const [run, portrait] of [
    [second, changed],
    [first, before],
  ] as const) {
    const result = await restoreInto(machine, other, { run, verify: true })
    assert.deepEqual([result.lost, result.problems], [[], []])
    assert.deepEqual(other.portrait(), portrait)
    other.reset()
  }
  assert.deepEqual(await machine.problems(machine.store), [])
})

test("the files alone bring it back, in the order of their names, by the server's own client", async () => {
  fill()
  const content = await contentOf(sourceOf(server))
  const names = [...content.keys()].filter((name) => name.endsWith(".sql"))
  assert.equal(names.length, 3 * 4 + 1)
  assert.deepEqual(names.toSorted(), names)
  other.sql(names.map((name) => content.get(name) ?? "").join(""))
  assert.deepEqual(other.portrait(), server.portrait())
})

test("version, place in the binary log, rows and their hash are recorded, of every table", async () => {
  fill()
  const content = await contentOf(sourceOf(server))
  const facts = JSON.parse(Buffer.from(content.get("server.json") ?? "", "latin1").toString("utf8")) as {
    version: string
    dumped_by: string
    binlog: { file: string; position: number }
    gtid: string
    tables: Record<string, Record<string, { rows: number; sha256: string }>>
  }
  const [file = "", position] = server.sql("SHOW MASTER STATUS").split("\t")
  assert.deepEqual(facts.binlog, { file, position: Number(position) })
  assert.equal(facts.gtid, server.sql("SELECT @@gtid_binlog_pos"))
  assert.equal(facts.version, server.sql("SELECT VERSION()"))
  assert.match(facts.dumped_by, /^mariadb-dump .*MariaDB/)
  const rows = Object.entries(facts.tables).flatMap(([schema, of]) =>
    Object.entries(of).map(([table, stats]) => [schema, table.split("\n")[0], stats.rows] as const),
  )
  assert.deepEqual(rows.toSorted(), [
    ["Straße/50%", "Tür", 3],
    ["a`b -- '\"", "t`t", 1],
    ["shop", "VALUES", 2],
    ["shop", "customers", 5],
    ["shop", "log", 0],
    ["shop", "nothing", 0],
    ["shop", "odd", 2],
    ["shop", "orders", 3002],
  ])
  const hash = (text: string): string => createHash("sha256").update(text).digest("hex")
  assert.equal(facts.tables["Straße/50%"]?.["Tür"]?.sha256, hash("(1)\n(2)\n(3)\n"), "ordered by the primary key")
  assert.equal(facts.tables["shop"]?.["nothing"]?.sha256, hash(""))
})

test("without a binary log, or the right to see it, there is no place in it, and all else is the same", async () => {
  fill()
  const whole = await contentOf(sourceOf(server))
  server.sql("REVOKE BINLOG MONITOR ON *.* FROM saver")
  const without = await contentOf(sourceOf(server))
  assert.match(whole.get("server.json") ?? "", /"file": "binlog/)
  assert.match(without.get("server.json") ?? "", /"binlog": null/)
  for (const name of ["server.json", "4-users.sql"]) for (const content of [whole, without]) content.delete(name)
  assert.deepEqual(without, whole)
})

test("one schema, with rights in it alone; and one of a run of all goes where the others are", async () => {
  fill()
  server.sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM saver; GRANT EXECUTE ON FUNCTION shop.twice TO saver")
  server.sql("GRANT SELECT, SHOW VIEW, EVENT ON `sh_p`.* TO saver")
  server.sql(Buffer.from("DROP VIEW `Straße/50%`.across").toString("latin1"))
  const source = sourceOf(server, { schemas: ["shop"] })
  // What may not be seen would be missing without a word: schemas, and what is in one.
  const all = (error: unknown): boolean => isFault(error, "refused") && /SELECT, .* in every schema/.test(error.message)
  await assert.rejects(contentOf(sourceOf(server)), all)
  await assert.rejects(contentOf(source), (error) => isFault(error, "refused") && /TRIGGER in shop/.test(error.message))
  server.sql("GRANT TRIGGER ON `sh_p`.* TO saver")
  await assert.rejects(contentOf(source), (error) => isFault(error, "refused") && /mysql.*proc/.test(error.message))
  server.sql("GRANT SELECT ON mysql.proc TO saver")
  const machine = await makeMachine(source)
  await backUp(machine)
  const paths = [...(await machine.content(machine.store, "latest")).keys()]
  assert.deepEqual(paths, ["1-tables/shop.sql", "2-code/shop.sql", "3-views/shop.sql", "server.json"])
  other.sql("CREATE DATABASE other; CREATE TABLE other.kept (id INT); CREATE USER somebody")
  await restoreInto(machine, other, { verify: true })
  const ofShop = (lines: string[]): string[] =>
    lines.filter((line) => /\bshop\b/.test(line) && !/GRANT|CREATE USER/.test(line))
  assert.ok(ofShop(server.portrait()).length > 10)
  assert.deepEqual(ofShop(other.portrait()), ofShop(server.portrait()))
  assert.equal(other.sql("SHOW TABLES FROM other"), "kept")
  await assert.rejects(contentOf(sourceOf(server, { schemas: ["nowhere"] })), (error) => isFault(error, "not-found"))
})

test("a server without schemas has its users", async () => {
  const machine = await makeMachine(sourceOf(server))
  await backUp(machine)
  assert.deepEqual([...(await machine.content(machine.store, "latest")).keys()], ["4-users.sql", "server.json"])
  await restoreInto(machine, other, { verify: true })
  assert.deepEqual(other.portrait(), server.portrait())
})

test("what is there is not replaced unasked", async () => {
  server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT); INSERT INTO shop.t VALUES (1)")
  const machine = await makeMachine(sourceOf(server))
  await backUp(machine)
  const conflict = (what: RegExp) => (error: unknown) => isFault(error, "conflict") && what.test(error.message)
  other.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT)")
  await assert.rejects(restoreInto(machine, other), conflict(/schema shop is there already; nothing was restored/))
  assert.equal(other.sql("SELECT COUNT(*) FROM shop.t"), "0")
  await restoreInto(machine, other, { overwrite: true, wanted: (path) => path.includes("shop") })
  assert.equal(other.sql("SELECT COUNT(*) FROM shop.t"), "1")
  other.sql("DROP DATABASE shop; CREATE USER somebody")
  await assert.rejects(restoreInto(machine, other), conflict(/users, somebody for one/))
  assert.equal(other.sql("SHOW DATABASES LIKE 'shop'"), "")
  other.sql("DROP USER somebody")
  await restoreInto(machine, other)
  assert.equal(other.sql("SELECT COUNT(*) FROM shop.t"), "1")
})
