// Rows that mydumper dumps: the contract of all sources, everything comes back of both runs, and what is in the files.

import assert from "node:assert/strict"
import { after, before, beforeEach, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { contentOf, fillPlain, MORE_GRANTS, makeSaver, restoreInto, sourceOf } from "./helpers.ts"
import { staged } from "./processes.ts"
import { Server } from "./server.ts"

let server: Server
let other: Server

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
  server.sql(MORE_GRANTS)
})

const mydumper = { threads: 3 }

async function backUp(machine: Machine): Promise<string> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  let said = ""
  const onEvent = (event: object): void => void (said += "why" in event ? JSON.stringify(event) : "")
  const { outcome, run } = await machine.backup(machine.store, { onEvent })
  assert.equal(outcome, "complete", said)
  assert.deepEqual(staged(), [])
  return run
}

sourceContract("mydumper", { broken: "failed", loses: false }, async () => {
  server.sql(
    "CREATE DATABASE one; USE one; CREATE TABLE t (id INT PRIMARY KEY, v TEXT); " +
      "INSERT INTO t SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_5000; CREATE VIEW v AS SELECT id FROM t",
  )
  const source = sourceOf(server, { mydumper })
  let content = await contentOf(source)
  return {
    source,
    content: () => content,
    attributes: () => ({}),
    change: async () => {
      server.sql("UPDATE one.t SET v = 'changed' WHERE id = 2500")
      content = await contentOf(source)
      return "1b-rows/00000001-one.t.sql"
    },
    breakOff: async () => {
      server.sql("CREATE VIEW one.broken AS SELECT * FROM one.t; ALTER TABLE one.t RENAME TO one.away")
      return async () => {
        server.sql("ALTER TABLE one.away RENAME TO one.t; DROP VIEW one.broken")
        content = await contentOf(source)
      }
    },
  }
})

test("everything comes back into an empty server, of both runs, and reads back as it was", async () => {
  fillPlain(server)
  const machine = await makeMachine(sourceOf(server, { mydumper }))
  const before = server.portrait()
  assert.ok(before.length > 40)
  const first = await backUp(machine)
  server.sql(
    "UPDATE shop.customers SET note = CONCAT(IFNULL(note, ''), '!'); DELETE FROM shop.orders WHERE id MOD 7 = 3; " +
      "DROP PROCEDURE shop.note; CREATE PROCEDURE shop.note() SELECT 2; SELECT NEXTVAL(shop.numbers); ALTER TABLE shop.log ADD more INT FIRST",
  )
  const changed = server.portrait()
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

interface Facts {
  readonly dumped_by: string
  readonly binlog: unknown
  readonly gtid: string
  readonly tables: Record<string, Record<string, { rows: number; sha256: string }>>
}
const factsOf = (content: ReadonlyMap<string, string>): Facts =>
  JSON.parse(Buffer.from(content.get("server.json") ?? "", "latin1").toString("utf8")) as Facts

test("all that the dump program keeps is kept, and the same of it: definitions apart, rows counted, the place in the binary log", async () => {
  fillPlain(server)
  const [one, two] = [await contentOf(sourceOf(server, { mydumper })), await contentOf(sourceOf(server))]
  const [position, other] = [factsOf(one), factsOf(two)]
  assert.match(position.dumped_by, /mariadb-dump .*; mydumper 0\.10/)
  assert.deepEqual([position.binlog, position.gtid], [other.binlog, other.gtid])
  const counts = ({ tables }: Facts): unknown[] =>
    Object.entries(tables).flatMap(([schema, of]) =>
      Object.entries(of).map(([table, { rows }]) => [schema, table, rows]),
    )
  assert.deepEqual(counts(position).toSorted(), counts(other).toSorted())
  for (const [path, text] of two) if (/^[234]/.test(path)) assert.equal(one.get(path), text, path)
  const rows = [...one.keys()].filter((path) => path.startsWith("1b-rows/")).map((path) => path.slice(17, -4))
  assert.deepEqual(rows.toSorted(), ["shop.VALUES", "shop.customers", "shop.odd", "shop.orders", "shop.strange"])
})

test("the files alone bring it back, in the order of their names, by the server's own client", async () => {
  fillPlain(server)
  const content = await contentOf(sourceOf(server, { mydumper }))
  other.sql(
    [...content]
      .filter(([name]) => name.endsWith(".sql"))
      .map(([, text]) => text)
      .join(""),
  )
  assert.deepEqual(other.portrait(), server.portrait())
})

test("rows that somebody changed in the restored server do not read back as what was loaded; of others they do", async () => {
  server.sql(
    "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY, v TEXT); CREATE TABLE u (id INT);" +
      "INSERT INTO shop.u VALUES (2), (1), (2); INSERT INTO shop.t SELECT seq, REPEAT(SHA2(seq, 256), 90) FROM seq_1_to_9000",
  )
  const machine = await makeMachine(sourceOf(server, { mydumper: { threads: 2, limit: 4_000_000 } }))
  await backUp(machine)
  const rows = [...(await machine.content(machine.store, "latest")).keys()].filter((path) =>
    /-shop\.t\.sql$/.test(path),
  )
  assert.ok(rows.length > 2, "several files of the table")
  await restoreInto(machine, other, { verify: true })
  assert.equal(other.sql("CHECKSUM TABLE shop.t, shop.u"), server.sql("CHECKSUM TABLE shop.t, shop.u"))
  for (const sql of ["UPDATE shop.t SET v = 'x' WHERE id = 8999", "INSERT INTO shop.t VALUES (9001, '')"]) {
    const changing = {
      onCommit: (path: string) => path === "server.json" && other.sql(sql),
      overwrite: true,
      verify: true,
    }
    await assert.rejects(restoreInto(machine, other, changing), (error) => isFault(error, "differs"))
    assert.deepEqual(staged(), [])
  }
})

test("names that mydumper cannot take, and a user who may not hold the writing, are refused; without it they are backed up", async () => {
  const refused = (what: RegExp) => (error: unknown) => isFault(error, "refused") && what.test(error.message)
  server.sql("CREATE DATABASE shop; CREATE TABLE shop.`a``b` (id INT)")
  await assert.rejects(contentOf(sourceOf(server, { mydumper })), refused(/a`b: mydumper puts names into SQL/))
  assert.ok((await contentOf(sourceOf(server))).has("1-tables/shop.sql"))
  server.sql("RENAME TABLE shop.`a``b` TO shop.b; REVOKE RELOAD ON *.* FROM saver")
  await assert.rejects(contentOf(sourceOf(server, { mydumper })), refused(/no right to RELOAD/))
  server.sql(MORE_GRANTS)
  assert.ok((await contentOf(sourceOf(server, { mydumper }))).has("1a-definitions/shop.sql"))
})

test("several schemas are of one run, each with its tables; one whose dump stood still has failed, and is made again", async () => {
  server.sql(
    "CREATE DATABASE one; CREATE DATABASE two; CREATE DATABASE none; CREATE TABLE one.t (id INT); CREATE TABLE two.t (id INT);" +
      "INSERT INTO one.t VALUES (1); INSERT INTO two.t VALUES (2)",
  )
  const source = sourceOf(server, { schemas: ["one", "two"], mydumper: { threads: 2, still: 5000 } })
  const machine = await makeMachine(source)
  let outcome = ""
  for (let tries = 0; outcome !== "complete"; tries++) {
    assert.ok(tries < 5)
    machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
    ;({ outcome } = await machine.backup(machine.store))
  }
  await restoreInto(machine, other)
  assert.equal(other.sql("SELECT id FROM one.t UNION SELECT id FROM two.t"), "1\n2")
  assert.equal(other.sql("SHOW DATABASES LIKE 'none'"), "")
})
