// A server of MariaDB with the real command: backed up, restored into another server, as files and one schema of it; and a
// dump that is killed half-way.

import assert from "node:assert/strict"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { kill } from "node:process"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { exitCode } from "@backup-cloud/format"
import { makeSaver, PASSWORD } from "../../source-mysql/test/helpers.ts"
import { Server } from "../../source-mysql/test/server.ts"
import { World } from "./world.ts"

const world = new World()
let server: Server
let other: Server

before(async () => {
  server = await Server.start("--log-bin=binlog", "--server-id=1")
  other = await Server.start()
  makeSaver(server)
  server.sql(
    "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY, v TEXT); CREATE VIEW w AS SELECT id FROM t;" +
      "INSERT INTO t SELECT seq, REPEAT(SHA2(seq, 256), 30) FROM seq_1_to_10000; CREATE DATABASE wiki; CREATE TABLE wiki.t (id INT)",
  )
  const data = world.file("data")
  mkdirSync(data)
  writeFileSync(world.file("password"), `${PASSWORD}\n`, { mode: 0o600 })
  world.start(data)
  world.ok(
    "admin",
    "source",
    "add",
    "db",
    `mysql://saver@127.0.0.1:${server.port}/`,
    "--password-file",
    world.file("password"),
  )
})
after(async () => {
  await server.end()
  await other.end()
  world.end()
})

const administrator = (of: Server): string => `mysql://root@localhost/?socket=${of.socket}`

test("it comes back into another server, whole and one schema, and is compared", () => {
  const ended = world.as("admin", "backup", "db", "--json")
  assert.equal(ended.status, 0, ended.stderr)
  const restore = ["restore", "db@latest", "--release", world.release("db@latest", "of servers"), "--to"]
  world.ok("oscar", ...restore, administrator(other), "--path", "*/shop.sql", "--verify")
  assert.equal(other.sql("SHOW DATABASES LIKE 'wiki'"), "")
  assert.equal(other.sql("CHECKSUM TABLE shop.t"), server.sql("CHECKSUM TABLE shop.t"))
  assert.match(world.fails("oscar", exitCode.conflict, ...restore, administrator(other)), /shop is there already/)
  world.ok("oscar", ...restore, administrator(other), "--overwrite", "--verify")
  assert.deepEqual(other.portrait(), server.portrait())
  world.fails("oscar", exitCode.usage, ...restore, `mysql://root@localhost/shop?socket=${other.socket}`)
  world.ok("admin", "verify")
})

test("a dump that is killed half-way makes a failed run, and the one before stays the latest", async () => {
  const [whole = ""] = world.runs("db")
  const config = readFileSync(join(world.file("admin"), "backup-cloud.yaml"), "utf8")
  const { child, ended } = world.spawn("admin", "backup", "db", "--json")
  let killed = false
  while (!killed && child.exitCode === null) {
    killed = dumping(child.pid ?? 0)
    await sleep(1)
  }
  assert.ok(killed, "the dump was over before it was seen")
  const { status, stdout, stderr } = await ended
  assert.equal(status, exitCode.incomplete, stderr)
  assert.match(stdout + stderr, /mariadb-dump was ended by SIGKILL/)
  const failed = world.runs("db").at(-1) ?? ""
  assert.notEqual(failed, whole)
  world.fails("oscar", exitCode.refused, "request", `db@${failed}`, "--reason", "x", "--out", world.file("failed"))
  const receipt = readFileSync(join(world.archive, "backup/db", failed, "receipt-0001.json"), "utf8")
  assert.match(receipt, /^ {2}"outcome": "failed",$/m)
  world.release("db@latest", "of the one before")
  // The password is in none of what is written or said.
  const receipts = world.objects("backup/db").filter((name) => name.includes("receipt"))
  assert.equal(receipts.length, 2)
  const told = [config, stdout, stderr, ...receipts.map((name) => readFileSync(join(world.archive, name), "utf8"))]
  for (const text of told) assert.ok(!text.includes("pass'word"))
})

/** Kills the program that dumps all tables for this process, if it has begun; whether it has. */
function dumping(parent: number): boolean {
  for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${id}/stat`, "latin1")
      const of = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]
      if (of !== String(parent) || !readFileSync(`/proc/${id}/cmdline`, "latin1").includes("--order-by-primary"))
        continue
      return kill(Number(id), "SIGKILL")
    } catch {
      // It ended meanwhile.
    }
  }
  return false
}

test("rows come by mydumper when the URL says so, and come back; of a run that is killed nothing is left running or lying there", async () => {
  server.sql("GRANT RELOAD ON *.* TO saver")
  const url = `mysql://saver@127.0.0.1:${server.port}/shop?dump=mydumper&threads=2`
  world.ok("admin", "source", "add", "many", url, "--password-file", world.file("password"))
  const { child, ended } = world.spawn("admin", "backup", "many")
  const program = await seen(child.pid ?? 0)
  // It does not come to its end by itself now.
  kill(program, "SIGSTOP")
  kill(child.pid ?? 0, "SIGKILL")
  await ended
  for (let tries = 0; lives(program); tries++) {
    assert.ok(tries < 500, "it outlives the command")
    await sleep(10)
  }
  assert.equal(staged(child.pid ?? 0).length, 1)
  world.ok("admin", "backup", "many")
  assert.deepEqual(staged(child.pid ?? 0), [])
  const restore = ["restore", "many@latest", "--release", world.release("many@latest", "of many")]
  world.ok("oscar", ...restore, "--to", administrator(other), "--overwrite", "--verify")
  assert.equal(other.sql("CHECKSUM TABLE shop.t"), server.sql("CHECKSUM TABLE shop.t"))
  assert.match(world.as("admin", "doctor").stdout, /ok +mydumper is installed/)
})

/** Folders of a process, which may have ended, in which mydumper's files lie. */
const staged = (pid: number): string[] =>
  readdirSync("/dev/shm")
    .filter((name) => name.startsWith("backup-cloud-mydumper-"))
    .filter((name) => {
      try {
        return readFileSync(join("/dev/shm", name, "owner"), "latin1").startsWith(`${pid} `)
      } catch {
        return false
      }
    })

function lives(id: number): boolean {
  try {
    return readFileSync(`/proc/${id}/stat`, "latin1").split(" ")[2] !== "Z"
  } catch {
    return false
  }
}

/** Id of the mydumper of a process that dumps, once it is one. */
async function seen(parent: number): Promise<number> {
  for (let tries = 0; tries < 30_000; tries++) {
    for (const id of readFileSync(`/proc/${parent}/task/${parent}/children`, "latin1").split(" ").filter(Boolean))
      if (readFileSync(`/proc/${id}/cmdline`, "latin1").startsWith("mydumper\0--defaults-file")) return Number(id)
    await sleep(1)
  }
  throw new Error("mydumper was not seen")
}

test("what a URL of a server cannot mean is refused, and a password in it is", () => {
  for (const rest of [
    "127.0.0.1/",
    "saver@/",
    "saver@127.0.0.1/?colour=red",
    "s%aver@127.0.0.1/",
    "saver@127.0.0.1/shop%zz",
    "saver@127.0.0.1/?tls=maybe",
    "saver@127.0.0.1/?tls=off&tls_ca=/ca.pem",
    "saver@127.0.0.1/?socket=relative",
    "saver@127.0.0.1/?password_file=/a",
    "saver@127.0.0.1/?dump=other",
    "saver@127.0.0.1/?threads=2",
    "saver@127.0.0.1/?dump=mydumper&threads=0",
  ])
    world.fails("admin", exitCode.usage, "source", "add", "wrong", `mysql://${rest}`)
  for (const port of ["", ":1", ":99999"]) {
    const url = `mysql://saver:secret@127.0.0.1${port}/`
    assert.doesNotMatch(world.fails("admin", exitCode.usage, "source", "add", "wrong", url), /secret/)
  }
  const url = "mysql://saver@db.example/shop,wiki"
  world.ok("admin", "source", "add", "elsewhere", url, "--password-command", "echo x")
  assert.match(world.fails("admin", exitCode.usage, "backup", "elsewhere"), /without a file of authorities/)
})
