// Back up, change, back up, restore both into a server of its own and compare everything; and what is in the way.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { kill } from "node:process"
import { after, before, test } from "node:test"
import { BackupError, isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { signal } from "../../trust/test/archive.ts"
import { type PostgresRestoreOptions, postgresSource, type RestoredFile, restoreDatabases } from "../src/index.ts"
import { filesOf, restoring } from "./archive.ts"
import { Cluster } from "./cluster.ts"
import { described, makeSample, ROLES } from "./sample.ts"

const NAME = 'the "shop"'

let cluster: Cluster
let other: Cluster
let machine: Machine
let before1: Record<string, string>
let before2: Record<string, string>
let first = ""

before(async () => {
  ;[cluster, other] = await Promise.all([Cluster.start(), Cluster.start()])
  cluster.backupRole()
  cluster.sql("postgres", ROLES)
  other.role("restorer", "superuser")
  makeSample(cluster, NAME)
  machine = await makeMachine(
    postgresSource({
      ...cluster.access("/"),
      chosen: (name) => name === NAME || name === "postgres",
      now: () => new Date(0),
    }),
  )
  await backUp()
  first = (await machine.runs(machine.store)).heads[0]?.run ?? ""
  before1 = described(cluster, NAME)
  cluster.sql(
    NAME,
    `update shop.items set price = price + 1 where id % 7 = 0; delete from shop.orders where id < 10;
     create table shop.later (a int); insert into shop.later values (7); drop view shop.cheap;
     select nextval('shop.numbers'); revoke all on shop.items from "App Reader"; select lo_unlink(4711)`,
  )
  await backUp()
  before2 = described(cluster, NAME)
})
after(async () => {
  await Promise.all([cluster.close(), other.close()])
})

async function backUp(): Promise<void> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
}

const databases = (of: Cluster): string[] =>
  of.sql("postgres", "select datname from pg_database order by 1").trim().split("\n")

test("both runs come back whole: rows, structure, owners, rights, sequences, large objects, roles, settings", async () => {
  assert.notDeepEqual(before1, before2)
  const { options, events } = restoring(other)
  await restoreDatabases(filesOf(machine, first), options, signal)
  assert.deepEqual(described(other, NAME), before1)
  const roles =
    "select rolname, rolsuper, rolcanlogin, rolconnlimit, rolbypassrls, (select setconfig from pg_db_role_setting where setrole = a.oid and setdatabase = 0), rolpassword, shobj_description(oid, 'pg_authid') from pg_authid a where rolname !~ '^pg_|^restorer$|^postgres$' order by 1"
  assert.equal(other.sql("postgres", roles), cluster.sql("postgres", roles))
  const members =
    "select roleid::regrole, member::regrole, admin_option from pg_auth_members where member::regrole::text !~ '^pg_' order by 1, 2"
  assert.equal(other.sql("postgres", members), cluster.sql("postgres", members))
  assert.deepEqual(events.slice(0, 1), [{ event: "kept", what: "role postgres" }])
  assert.deepEqual(
    events.flatMap((event) => (event.event === "database" ? [[event.name, event.created, event.rows]] : [])),
    [
      ["postgres", false, 0],
      [NAME, true, 2806],
    ],
  )
  assert.deepEqual(databases(other), ["postgres", "template0", "template1", NAME].toSorted())
  other.sql("postgres", `alter database "the ""shop""" rename to "first"`)
  await restoreDatabases(filesOf(machine), restoring(other).options, signal)
  assert.deepEqual(described(other, NAME), before2)
  assert.deepEqual({ ...described(other, "first"), settings: "" }, { ...before1, settings: "" })
})

const ofShop = (path: string): boolean => path.startsWith('databases/the "shop"/')

test("a database goes under another name beside the live one, and into an empty one that is there", async () => {
  const { options, events } = restoring(other, "/copy%20of%2Fit")
  await restoreDatabases(filesOf(machine, first, ofShop), options, signal)
  const copy = described(other, "copy of/it")
  assert.deepEqual(copy, before1)
  assert.equal(events.length, 1)
  other.sql("postgres", "create database waiting")
  await restoreDatabases(filesOf(machine, first, ofShop), restoring(other, "/waiting").options, signal)
  assert.deepEqual({ ...described(other, "waiting"), settings: "" }, { ...before1, settings: "" })
  await assert.rejects(restoreDatabases(filesOf(machine, first), restoring(other, "/two").options, signal), (error) =>
    isFault(error, "usage"),
  )
})

test("a database that holds something is in the way before anything is written, unless told", async () => {
  other.sql("postgres", `create database used; drop role if exists "tablespace"`)
  other.sql("used", "create schema mine")
  const into = async (intoExisting: boolean): Promise<void> => {
    const wanted = (path: string): boolean => path === "globals.sql" || ofShop(path)
    await restoreDatabases(filesOf(machine, first, wanted), restoring(other, "/used", { intoExisting }).options, signal)
  }
  await assert.rejects(into(false), (error) => isFault(error, "conflict"))
  const roles = `select count(*) from pg_roles where rolname = 'tablespace'`
  assert.equal(other.sql("postgres", roles).trim(), "0")
  await into(true)
  assert.equal(other.sql("postgres", roles).trim(), "1")
  assert.equal(other.sql("used", "select count(*) from shop.items").trim(), "2002")
  const twice: unknown = await into(true).catch((error: unknown) => error)
  assert.ok(isFault(twice, "incomplete"))
  assert.match(twice.message, /already exists.*what had come until then is in the database used$/)
})

test("rows that were erased are gone before the database has its name; SQL that fails leaves no database", async () => {
  const count = (of: string): string => other.sql(of, "select count(*) from shop.orders").trim()
  const into = async (sql: string, path: string, more: Partial<PostgresRestoreOptions> = {}) => {
    const erase = [
      { number: 7, database: NAME, sql: Buffer.from(sql) },
      { number: 8, database: "another", sql: Buffer.from("this is not run") },
    ]
    const { options, events } = restoring(other, path, { erase, ...more })
    await restoreDatabases(filesOf(machine, first, ofShop), options, signal)
    return events
  }
  const events = await into("delete from shop.orders where id <= 100", "/erased")
  assert.equal(count("erased"), "400")
  assert.deepEqual(events[0], { event: "erased", name: "erased", number: 7 })
  // The same without the record: they are there.
  await into("", "/not%20erased", { erase: [] })
  assert.equal(count("not erased"), "500")

  const there = databases(other)
  for (const sql of ["delete from shop.orders; select nothing", "\\! true\n", "delete from shop.nowhere;"]) {
    const error: unknown = await into(sql, "/failed").catch((e: unknown) => e)
    assert.ok(isFault(error, "incomplete"), String(error))
    assert.deepEqual(databases(other), there)
  }
  // Into one that is there it is all or nothing, and the error says what is left.
  other.sql("postgres", "create database present")
  const half: unknown = await into("delete from shop.orders; select nothing", "/present").catch((e: unknown) => e)
  assert.match(String(half), /what had come until then is in the database present/)
  assert.equal(count("present"), "500")
})

test("a database of another encoding comes back in it, with its name, comments and texts", async () => {
  const name = "Bücher"
  cluster.sql(
    "postgres",
    `create role "Käufer"; create database "${name}" encoding latin1 template template0 owner "Käufer"`,
  )
  cluster.sql("postgres", `comment on database "${name}" is 'für alle'`)
  cluster.sql(name, `create table "Größe" (t text); insert into "Größe" values ('äöü')`)
  const source = postgresSource({ ...cluster.access("/B%C3%BCcher"), now: () => new Date(0) })
  const latin = await makeMachine(source)
  assert.equal((await latin.backup(latin.store)).outcome, "complete")
  await restoreDatabases(filesOf(latin), restoring(other).options, signal)
  assert.deepEqual(described(other, name), described(cluster, name))
  assert.match(described(other, name)["settings"] ?? "", /^Käufer\|LATIN1\|.*\|für alle$/m)
})

test("a dump cannot make psql do anything but pass SQL on, and its create.sql makes nothing else", async () => {
  const mark = join(mkdtempSync(join(tmpdir(), "bc-pg-mark-")), "mark")
  const hostile = changed("content.sql", async function* () {
    yield Buffer.from(`-- Name: x\n\\! touch '${mark}'\n`)
  })
  const into = restoring(other, "/hostile").options
  const refused: unknown = await restoreDatabases(hostile, into, signal).catch((error: unknown) => error)
  assert.ok(isFault(refused, "incomplete"), String(refused))
  assert.ok(!existsSync(mark))
  // psql left to itself does what it says.
  for await (const file of hostile()) {
    if (!file.path.endsWith("content.sql")) continue
    execFileSync("psql", ["-X", "-h", other.folder, "-p", String(other.port), "-U", "postgres", "postgres"], {
      input: await text(file),
    })
  }
  assert.ok(existsSync(mark))
  rmSync(dirname(mark), { recursive: true })
  const elsewhere = changed("create.sql", async function* (file) {
    yield Buffer.from((await text(file)).replaceAll('"the ""shop"""', "elsewhere"))
  })
  await assert.rejects(restoreDatabases(elsewhere, into, signal), (error) => isFault(error, "refused"))
  assert.ok(!databases(other).some((name) => ["elsewhere", "hostile"].includes(name)))
  await restoreDatabases(filesOf(machine, first, ofShop), into, signal)
})

/** The files of the first run, one of them with other content. */
function changed(
  part: string,
  change: (file: RestoredFile) => AsyncIterable<Uint8Array>,
): () => AsyncGenerator<RestoredFile> {
  return async function* () {
    for await (const file of filesOf(machine, first, ofShop)())
      yield file.path.endsWith(part) ? { ...file, content: () => change(file) } : file
  }
}

async function text(file: RestoredFile): Promise<string> {
  let all = ""
  for await (const piece of file.content()) all += Buffer.from(piece).toString()
  return all
}

test("what does not come whole never gets its name, and nothing is left of it; the same whole one does", async () => {
  const there = databases(other)
  const into = async (files: () => AsyncGenerator<RestoredFile>, abort = signal): Promise<unknown> => {
    const error: unknown = await restoreDatabases(files, restoring(other, "/whole").options, abort).catch(
      (e: unknown) => e,
    )
    assert.deepEqual(databases(other), there)
    return error
  }
  const broken = new BackupError("tampered", "not what the catalogue says")
  const brokenOff = changed("content.sql", async function* (file) {
    yield* file.content()
    throw broken
  })
  assert.equal(await into(brokenOff), broken)
  const wrongRows = changed("facts.json", async function* (file) {
    yield Buffer.from((await text(file)).replace('"shop.orders": 500', '"shop.orders": 501'))
  })
  const differs = await into(wrongRows)
  assert.ok(isFault(differs, "differs"), String(differs))
  assert.match(differs.message, /^shop\.orders has 500 rows, and had 501/)
  const badRow = changed("content.sql", async function* (file) {
    yield Buffer.from((await text(file)).replace("COPY shop.log_2025", "COPY shop.absent"))
  })
  const refused = await into(badRow)
  assert.ok(isFault(refused, "incomplete"), String(refused))
  assert.match(refused.message, /relation "shop\.absent" does not exist/)
  const killed = changed("content.sql", async function* (file) {
    for (const piece of (await text(file)).match(/[^]{1,10000}/g) ?? []) {
      yield Buffer.from(piece)
      for (const pid of other.processes("psql")) kill(pid, "SIGKILL")
    }
  })
  const gone = await into(killed)
  assert.ok(isFault(gone, "incomplete"), String(gone))
  assert.match(gone.message, /psql ended with signal SIGKILL; the restore is not whole/)
  const abort = new AbortController()
  const slow = changed("content.sql", async function* (file) {
    let pieces = 0
    for await (const piece of file.content()) {
      yield piece
      if (++pieces === 1) abort.abort(new Error("enough"))
    }
  })
  assert.match(String(await into(slow, abort.signal)), /enough/)
  await restoreDatabases(filesOf(machine, first, ofShop), restoring(other, "/whole").options, signal)
  assert.deepEqual(described(other, "whole"), before1)
})
