// A PostgreSQL server with the real command: backed up with a password out of a file or a command, restored into a server
// and into a directory, from which psql alone brings it back; and a dump that is killed.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { kill } from "node:process"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { exitCode } from "@backup-cloud/format"
import { Cluster, PASSWORD } from "../../source-postgres/test/cluster.ts"
import { described, makeSample, ROLES } from "../../source-postgres/test/sample.ts"
import { World } from "./world.ts"

const world = new World()
const passwords = world.file("password")
const said: string[] = []
let cluster: Cluster
let other: Cluster

before(async () => {
  ;[cluster, other] = await Promise.all([Cluster.start(), Cluster.start()])
  cluster.backupRole()
  other.role("restorer", "superuser")
  cluster.sql("postgres", ROLES)
  makeSample(cluster, "shop")
  makeSample(cluster, "scratch")
  writeFileSync(passwords, `${PASSWORD}\n`, { mode: 0o600 })
  const data = world.file("data")
  mkdirSync(data)
  writeFileSync(join(data, "file"), "x")
  world.start(data)
})
after(async () => {
  world.end()
  await Promise.all([cluster.close(), other.close()])
})

/** As `world.as`; what it says is kept, to be looked through. */
function as(who: string, ...args: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = world.as(who, ...args)
  said.push(stdout, stderr)
  return { status, text: stdout + stderr }
}

function ok(who: string, ...args: string[]): string {
  const { status, text } = as(who, ...args)
  assert.equal(status, 0, text)
  return text
}

test("databases are backed up, and go into a server beside what it has", () => {
  const scratch = ["--exclude", "scratch"]
  ok("admin", "source", "add", "db", cluster.url("/"), "--password-file", passwords, ...scratch)
  ok("admin", "backup", "db", "--json")
  cluster.sql("shop", "insert into public.mail values ('new')")
  ok("admin", "backup", "db")
  ok("admin", "verify")
  const release = world.release("db@latest", "to a server")
  const restore = ["restore", "db@latest", "--release", release, "--password-file", passwords, "--to"]
  const text = ok("oscar", ...restore, other.url("/", "restorer"))
  assert.match(text, /^Database shop: 2807 rows, a dump of [0-9.]+ KiB\.$/m)
  assert.match(text, /^role postgres was there and stays as it is$/m)
  assert.match(text, /^Restored 2 databases\.$/m)
  assert.deepEqual(described(other, "shop"), described(cluster, "shop"))
  assert.equal(other.sql("postgres", "select count(*) from pg_database where datname = 'scratch'").trim(), "0")
  const again = as("oscar", ...restore, other.url("/", "restorer"))
  assert.equal(again.status, exitCode.conflict, again.text)
  const beside = ok("oscar", ...restore, other.url("/shop2", "restorer"), "--path", "databases/shop/*", "--json")
  assert.match(beside, /"event":"database","name":"shop2","created":true/)
  assert.deepEqual(described(other, "shop2"), described(cluster, "shop"))
})

test("from a directory psql alone brings everything back, as the page says", async () => {
  const target = world.file("files")
  ok("oscar", "restore", "db@latest", "--release", world.release("db@latest", "to files"), "--to", target)
  const [, block = ""] =
    /```sh\n([^]*?)```/.exec(readFileSync(join(import.meta.dirname, "../../../docs/sources/postgres.md"), "utf8")) ?? []
  const fresh = await Cluster.start()
  try {
    const env = { PATH: process.env["PATH"], PGHOST: fresh.folder, PGPORT: String(fresh.port), PGUSER: "postgres" }
    execFileSync("/bin/sh", ["-euc", block.replaceAll("NAME", "shop")], { cwd: target, env, stdio: "pipe" })
    assert.deepEqual(described(fresh, "shop"), described(cluster, "shop"))
  } finally {
    await fresh.close()
  }
})

test("rows that were erased do not come back into a server", () => {
  const sql = world.file("rows.sql")
  writeFileSync(sql, "delete from public.mail")
  ok("admin", "erase", "add", "db", "--sql", sql, "--database", "shop", "--reason", "asked", "--yes")
  const from = ["restore", "db@latest", "--release", world.file("to a server"), "--password-file", passwords]
  const text = ok("oscar", ...from, "--to", other.url("/erased", "restorer"), "--path", "databases/shop/*")
  assert.match(text, /^Database erased: the SQL of erasure 1 was run in it\.$/m)
  const mails = (name: string): number => Number(other.sql(name, "select count(*) from public.mail"))
  assert.equal(mails("erased"), 0)
  assert.ok(mails("shop") > 0)
})

test("a password comes out of a command; a file that others can read and a command that fails are not used", () => {
  const command = `cat '${passwords}'`
  ok("admin", "source", "add", "one", cluster.url("/shop"), "--password-command", command, "--no-role-passwords")
  ok("admin", "backup", "one")
  const config = join(world.file("admin"), "backup-cloud.yaml")
  const before = readFileSync(config, "utf8")
  writeFileSync(config, before.replace(command, `${command}; ${command} >&2; exit 3`))
  const failed = as("admin", "backup", "one")
  assert.equal(failed.status, exitCode.unavailable, failed.text)
  assert.match(failed.text, /the password command of one ended with exit status 3/)
  writeFileSync(config, before.replace(command, "echo"))
  assert.match(as("admin", "backup", "one").text, /the password command of one ended with nothing put out/)
  writeFileSync(config, before)
  chmodSync(passwords, 0o640)
  const open = as("admin", "backup", "db")
  assert.equal(open.status, exitCode.usage, open.text)
  assert.match(open.text, /can be read by others/)
  chmodSync(passwords, 0o600)
  ok("admin", "backup", "db", "one")
})

test("a dump that is killed makes a failed run and exit status incomplete, and the one before stays the latest", async () => {
  cluster.sql(
    "shop",
    "create table shop.big as select n, repeat(md5(n::text), 32) as x from generate_series(1, 60000) n",
  )
  const whole = world.runs("one").at(-1) ?? ""
  const { ended } = world.spawn("admin", "backup", "one")
  let found: number[] = []
  while (found.length === 0) {
    await sleep(5)
    found = cluster.processes("pg_dump")
  }
  for (const pid of found) kill(pid, "SIGKILL")
  const { status, stdout, stderr } = await ended
  said.push(stdout, stderr)
  assert.equal(status, exitCode.incomplete, stdout + stderr)
  assert.match(stderr, /shop: pg_dump ended with signal SIGKILL.*kept as failed, and the one before stays the latest/)
  const failed = world.runs("one").at(-1) ?? ""
  assert.notEqual(failed, whole)
  const latest = world.release("one@latest", "of one")
  assert.match(ok("oscar", "files", "one@latest", "--release", latest), /databases\/shop\/content\.sql/)
  assert.match(ok("admin", "runs", "one"), new RegExp(`${failed} .*failed`))
  ok("admin", "backup", "one")
})

test("a backup that is killed leaves neither processes nor a password behind", async () => {
  const { child, ended } = world.spawn("admin", "backup", "one")
  while (cluster.processes("pg_dump").length === 0) await sleep(5)
  assert.equal(cluster.processes("psql").length, 1)
  child.kill("SIGKILL")
  await ended
  while (["pg_dump", "psql"].some((program) => cluster.processes(program).length > 0)) await sleep(20)
  while (readdirSync("/dev/shm").some((name) => name.startsWith("backup-cloud-"))) await sleep(20)
  ok("admin", "backup", "one")
})

test("what a server cannot be is refused before anything is made, and no password is told", () => {
  const wrong: readonly (readonly string[])[] = [
    [`postgres://backup:${encodeURIComponent(PASSWORD)}@localhost/`],
    ["postgres://localhost/?color=1"],
    ["postgres://localhost/a", "--one-file-system"],
    ["postgres://localhost/a", "--stream", "a=b"],
    ["command:", "--stream", "a=b", "--password-file", passwords],
  ]
  for (const args of wrong) {
    const { status, text } = as("admin", "source", "add", "wrong", ...args)
    assert.equal(status, exitCode.usage, text)
  }
  assert.doesNotMatch(ok("admin", "source", "list"), /^wrong/m)
  assert.ok(said.length > 20)
  for (const text of said)
    for (const form of [PASSWORD, encodeURIComponent(PASSWORD)]) assert.ok(!text.includes(form), text)
  const config = readFileSync(join(world.file("admin"), "backup-cloud.yaml"), "utf8")
  assert.ok(!config.includes(PASSWORD))
  for (const name of world.objects()) assert.ok(!readFileSync(join(world.archive, name)).includes(PASSWORD), name)
})
