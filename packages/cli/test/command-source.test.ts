// What commands put out, with the real command: backed up, restored into a directory and into a command; and a command
// that breaks off.

import assert from "node:assert/strict"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { noise } from "../../store/test/helpers.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
const dump = world.file("dump")
const content = Buffer.concat([Buffer.from("one\n"), noise(9_000_000)])

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "file"), "x")
  world.start(data)
  writeFileSync(dump, content)
  const streams = ["--stream", `db/dump.sql=cat '${dump}'`, "--stream", "users.sql=echo alice; echo bob"]
  world.ok("admin", "source", "add", "db", "command:", ...streams)
  world.ok("admin", "backup", "db")
})
after(() => {
  world.end()
})

test("it comes back as files, byte for byte", () => {
  const target = world.file("restored")
  world.ok("oscar", "restore", "db@latest", "--release", world.release("db@latest", "files"), "--to", target)
  assert.ok(readFileSync(join(target, "db/dump.sql")).equals(content))
  assert.equal(readFileSync(join(target, "users.sql"), "utf8"), "alice\nbob\n")
  world.ok("admin", "verify")
})

test("it goes into a command, which has the name and sees the end; whose failure counts", () => {
  const release = world.release("db@latest", "pipe")
  const restore = ["restore", "db@latest", "--release", release]
  const into = world.file("into")
  mkdirSync(into)
  const said = world.ok("oscar", ...restore, "--pipe", `cat > '${into}'/$(basename "$1") && echo "took $1"`)
  assert.match(said, /^took db\/dump\.sql$/m)
  assert.match(said, /^Restored 2 files of 8\.6 MiB into the command\.$/m)
  assert.ok(readFileSync(join(into, "dump.sql")).equals(content))
  assert.equal(readFileSync(join(into, "users.sql"), "utf8"), "alice\nbob\n")
  const one = world.ok("oscar", ...restore, "--path", "users.sql", "--pipe", "wc -l")
  assert.match(one, /^2\nRestored 1 files/m)
  const failed = world.fails("oscar", exitCode.incomplete, ...restore, "--pipe", "cat >/dev/null; echo no >&2; exit 3")
  assert.match(failed, /db\/dump\.sql: .* ended with exit status 3; the restore is not whole; it said: no/)
  world.fails("oscar", exitCode.usage, ...restore)
  world.fails("oscar", exitCode.usage, ...restore, "--pipe", "cat", "--to", world.file("both"))
})

test("a command that breaks off makes a failed run, and the one before stays the latest", () => {
  const [whole = ""] = world.runs("db")
  const config = join(world.file("admin"), "backup-cloud.yaml")
  const before = readFileSync(config, "utf8")
  writeFileSync(config, before.replace("echo alice; echo bob", "echo alice; exit 7"))
  const said = world.fails("admin", exitCode.incomplete, "backup", "db")
  assert.match(said, /users\.sql: .* ended with exit status 7/)
  assert.match(said, /kept as failed, and the one before stays the latest/)
  const failed = world.runs("db").at(-1) ?? ""
  assert.notEqual(failed, whole)
  world.ok("admin", "verify")
  const target = world.file("restored again")
  world.ok("oscar", "restore", "db@latest", "--release", world.release("db@latest", "again"), "--to", target)
  assert.equal(readFileSync(join(target, "users.sql"), "utf8"), "alice\nbob\n")
  world.fails("oscar", exitCode.refused, "request", `db@${failed}`, "--reason", "x", "--out", world.file("failed"))
  writeFileSync(config, before)
  world.ok("admin", "backup", "db")
  assert.equal(world.runs("db").length, 3)
})

test("streams belong to commands, and commands need them", () => {
  for (const [url, ...options] of [
    ["command:"],
    ["command:", "--stream", "=echo"],
    ["command:", "--stream", "name="],
    ["command:", "--stream", "a=echo", "--include", "x"],
    [`dir://${data}`, "--stream", "a=echo"],
    ["oracle://somewhere"],
  ] as [string, ...string[]][]) {
    world.fails("admin", exitCode.usage, "source", "add", "other", url, ...options)
  }
  assert.doesNotMatch(world.ok("admin", "source", "list"), /^other/m)
})
