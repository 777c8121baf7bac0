// Drills that load into servers and count rows: MariaDB and PostgreSQL, with the real command.

import assert from "node:assert/strict"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { drillCodec, exitCode } from "@backup-cloud/format"
import { compareRows } from "../../source-mysql/src/index.ts"
import { makeSaver, PASSWORD } from "../../source-mysql/test/helpers.ts"
import { Server } from "../../source-mysql/test/server.ts"
import { Cluster, PASSWORD as POSTGRES_PASSWORD } from "../../source-postgres/test/cluster.ts"
import { World } from "./world.ts"

const world = new World()
const signal = new AbortController().signal
let server: Server
let other: Server
let cluster: Cluster

before(async () => {
  ;[server, other, cluster] = await Promise.all([Server.start(), Server.start(), Cluster.start()])
  makeSaver(server)
  server.sql(
    "CREATE DATABASE shop; USE shop; CREATE TABLE `odd``name` (id INT PRIMARY KEY); CREATE TABLE empty (id INT);" +
      "INSERT INTO `odd``name` SELECT seq FROM seq_1_to_1000; CREATE DATABASE wiki; CREATE TABLE wiki.t (id INT);" +
      "INSERT INTO wiki.t VALUES (1), (2), (3)",
  )
  cluster.backupRole()
  cluster.role("restorer", "superuser")
  cluster.sql("postgres", "create database shop")
  cluster.sql("shop", "create table mail (id int); insert into mail select generate_series(1, 500)")
  for (const name of ["data", "scratch"]) mkdirSync(world.file(name))
  writeFileSync(world.file("mysql"), `${PASSWORD}\n`, { mode: 0o600 })
  writeFileSync(world.file("postgres"), `${POSTGRES_PASSWORD}\n`, { mode: 0o600 })
  world.start(world.file("data"))
  const add = (name: string, url: string, file: string): string =>
    world.ok("admin", "source", "add", name, url, "--password-file", world.file(file))
  add("shop", `mysql://saver@127.0.0.1:${server.port}/`, "mysql")
  add("mail", cluster.url("/shop"), "postgres")
  world.ok("admin", "backup", "shop", "mail")
})
after(async () => {
  await Promise.all([server.end(), other.end(), cluster.close()])
  world.end()
})

const scratch = ["--scratch", world.file("scratch")]
const result = () => {
  const [name = ""] = world
    .objects("drills/")
    .filter((each) => each.endsWith(".json"))
    .slice(-1)
  return drillCodec.decode(readFileSync(join(world.archive, name)), name)
}
const checks = () => result().checks.map(({ name, outcome }) => `${name} ${outcome}`)

test("a server of MariaDB has the rows of every table, and a second drill replaces the first", () => {
  const to = ["--to", `mysql://root@localhost/?socket=${other.socket}`]
  const drill = ["drill", "shop@latest", "--release", world.release("shop@latest", "release"), ...scratch, ...to]
  assert.match(world.ok("oscar", ...drill), /Loaded into localhost: 1003 rows/)
  assert.deepEqual(checks(), ["databases passed", "files passed", "restored passed"])
  assert.equal(other.sql("SELECT COUNT(*) FROM shop.`odd``name`").trim(), "1000")
  const before = world.objects("drills/").length
  world.fails("oscar", exitCode.conflict, ...drill)
  assert.equal(world.objects("drills/").length, before, "what a server has already says nothing about the archive")
  world.ok("oscar", ...drill, "--overwrite")
  for (const wrong of ["/srv/restored", "s3://bucket/x"])
    world.fails("oscar", exitCode.usage, ...drill.slice(0, -1), wrong)
})

test("a row too few, too many, and a table that is not there are found", async () => {
  const facts = world.file("facts")
  world.ok("oscar", "restore", "shop@latest", "--release", world.file("release"), "--to", facts)
  const text = readFileSync(join(facts, "server.json"), "utf8")
  const access = { ...other.access("root", ""), socket: other.socket, password: null }
  const compared = () => compareRows(text, access, signal)
  assert.equal(await compared(), 1003)
  for (const [sql, back, message] of [
    ["DELETE FROM wiki.t WHERE id = 1", "INSERT INTO wiki.t VALUES (1)", /wiki\.t has 2 rows, and had 3/],
    ["INSERT INTO shop.empty VALUES (1)", "DELETE FROM shop.empty", /shop\.empty has 1 rows, and had 0/],
    ["RENAME TABLE wiki.t TO wiki.u", "RENAME TABLE wiki.u TO wiki.t", /cannot be counted/],
  ] as const) {
    other.sql(sql)
    await assert.rejects(compared(), { fault: "differs", message })
    other.sql(back)
    assert.equal(await compared(), 1003)
  }
  await assert.rejects(compareRows("{}", access, signal), { fault: "tampered" })
})

test("a server of PostgreSQL has the rows of every table", () => {
  const release = world.release("mail@latest", "of mail")
  const password = ["--password-file", world.file("postgres")]
  const to = ["--to", cluster.url("/drilled", "restorer")]
  const said = world.ok("oscar", "drill", "mail@latest", "--release", release, ...scratch, ...password, ...to)
  assert.match(said, /Database drilled: 500 rows/)
  assert.deepEqual(checks(), ["databases passed", "files passed", "restored passed"])
  assert.equal(cluster.sql("drilled", "select count(*) from mail").trim(), "500")
})
