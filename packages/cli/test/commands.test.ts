// What the commands do between a first archive and a bad day, one after the other, each as a process of the real program.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { of, run } from "./run.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "a"), "first")
  writeFileSync(join(data, "bad\u001b[31m\nname"), "x")
  world.start(data)
  world.ok("admin", "backup")
  writeFileSync(join(data, "a"), "second")
  writeFileSync(join(data, "b"), "new")
})
after(() => {
  world.end()
})

/** The lines of a command with `--json`, each an event of version 1. */
function events(status: number, who: string, ...args: string[]): Record<string, unknown>[] {
  const ended = world.as(who, ...args, "--json")
  assert.equal(ended.status, status, ended.stdout + ended.stderr)
  const found = ended.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  for (const event of found) {
    assert.equal(event["v"], 1)
    assert.equal(typeof event["event"], "string")
  }
  return found
}

test("--json gives one event a line, errors too", () => {
  const backup = events(0, "admin", "backup").at(-1)
  assert.equal(backup?.["event"], "result")
  assert.equal(backup["outcome"], "complete")
  const runs = events(0, "admin", "runs")
  assert.deepEqual(
    runs.map(({ event, source }) => [event, source]),
    [
      ["run", "docs"],
      ["run", "docs"],
    ],
  )
  assert.equal(events(0, "admin", "verify").at(-1)?.["event"], "result")
  const [error] = events(10, "admin", "backup", "nothing")
  assert.deepEqual([error?.["event"], error?.["fault"]], ["error", "not-found"])
})

test("files, cat, diff and restore --path with releases; control characters are escaped", () => {
  const [one = "", two = ""] = world.runs()
  const first = world.release(`docs@${one}`, "first")
  const second = world.release(`docs@${two}`, "second")
  const listed = world.ok("oscar", "files", `docs@${two}`, "--release", second)
  assert.doesNotMatch(listed, /\u001b/)
  assert.match(listed, /bad\S*\[31m\S*name$/m)
  assert.equal(world.ok("oscar", "cat", `docs@${one}`, "a", "--release", first), "first")
  assert.equal(world.ok("oscar", "cat", `docs@${two}`, "/a", "--release", second), "second")
  world.fails("oscar", 10, "cat", `docs@${two}`, "c", "--release", second)
  const both = ["--release", first, "--release", second]
  const changes = world.ok("oscar", "diff", `docs@${one}`, `docs@${two}`, ...both).split("\n")
  assert.ok(changes.includes("M a") && changes.includes("+ b"), changes.join())
  const to = world.file("some")
  world.ok("oscar", "restore", `docs@${two}`, "--release", second, "--to", to, "--path", "b")
  assert.equal(execFileSync("find", [to, "-type", "f"], { encoding: "utf8" }), `${join(to, "b")}\n`)
})

test("first the catalogue is released, then chosen paths", () => {
  const catalogue = world.release("docs@latest", "catalogue", "--catalogue")
  assert.match(world.ok("oscar", "files", "docs@latest", "--release", catalogue), / b$/m)
  const restore = ["restore", "docs@latest", "--path", "b", "--to", world.file("chosen"), "--release", catalogue]
  assert.notEqual(world.as("oscar", ...restore).status, 0)
  rmSync(world.file("chosen"), { recursive: true, force: true })
  const paths = world.release("docs@latest", "paths", "--path", "b", "--release", catalogue)
  world.ok("oscar", ...restore, "--release", paths)
  assert.equal(readFileSync(join(world.file("chosen"), "b"), "utf8"), "new")
})

test("an answer never overwrites a file, and is not given before it has a place", () => {
  const [request, taken] = [world.file("third.request"), world.file("first")]
  world.ok("oscar", "request", "docs@latest", "--reason", "a test", "--out", request)
  const approve = ["keyholder", "approve", request, "--yes", "--out"]
  assert.match(world.fails("alice", 11, ...approve, taken), /is there already; nothing was done/)
  // A request is answered once, so the first attempt must not have counted.
  world.ok("alice", ...approve, world.file("third"))
  world.fails("alice", 12, ...approve, world.file("fourth"))
})

test("an archive that cannot be made leaves nothing behind", () => {
  world.person("ada")
  const init = (admin: string, holder: string) => [
    "init",
    world.file("ada-archive"),
    "--admin",
    admin,
    "--holder",
    holder,
  ]
  const alice = world.file("alice.asc")
  world.fails("ada", 10, ...init("nobody@test.example", alice))
  world.fails("ada", 10, ...init("ada@test.example", world.file("nobody.asc")))
  world.fails("ada", 12, ...init("ada@test.example", alice), "--operator", alice)
  assert.ok(!existsSync(world.file("ada-archive")))
  assert.ok(!existsSync(join(world.file("ada"), "backup-cloud")))
  world.ok("ada", ...init("ada@test.example", alice))
  assert.ok(existsSync(world.file("ada-archive")))
  world.fails("ada", 11, ...init("ada@test.example", alice))
})

test("policy show, source list and set, keys list and check", () => {
  const policy = JSON.parse(world.ok("admin", "policy", "show")) as { number: number }
  world.ok("admin", "source", "set", "docs", "--schedule", "each night")
  assert.match(world.ok("admin", "source", "list"), /^docs +dir +here +each night +dir:/m)
  world.ok("admin", "source", "set", "docs", "--fresh")
  const [shown] = events(0, "admin", "policy", "show")
  const after = shown?.["policy"] as { number: number; sources: { fresh_after: string }[] }
  assert.equal(after.number, policy.number + 2)
  assert.notEqual(after.sources[0]?.fresh_after, "")
  world.fails("admin", 10, "source", "set", "nothing", "--fresh")
  for (const name of ["alice", "bob", "oscar"]) {
    assert.match(
      world.ok("admin", "keys", "list"),
      new RegExp(`${name} +present +${world.fingerprints.get(name) ?? ""}`),
    )
  }
  world.ok("admin", "keys", "check")
})

test("rekey: the old key ends, the new one backs up; without the administrator's key nothing changes", async () => {
  const key = join(world.file("admin"), "backup-cloud/sources/docs/signing-key.asc")
  const old = readFileSync(key, "utf8")
  assert.match(world.fails("admin", 2, "source", "rekey", "docs", "--accept-until", "tomorrow"), /takes a time/)
  world.fails("oscar", 12, "source", "rekey", "docs", "--certificate", world.file("alice.asc"))
  const elsewhere = { GNUPGHOME: world.file("oscar") }
  assert.equal((await run(of(world, "admin", elsewhere), "source", "rekey", "docs")).status, 12)
  assert.equal(readFileSync(key, "utf8"), old)
  world.ok("admin", "source", "rekey", "docs")
  assert.notEqual(readFileSync(key, "utf8"), old)
  world.ok("admin", "backup")
  world.ok("admin", "verify")
  writeFileSync(key, old)
  assert.match(world.fails("admin", 12, "backup", "docs"), /not the one the policy has/)
  world.ok("admin", "source", "rekey", "docs")
  world.ok("admin", "backup")
})

test("a source on a machine of its own", () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const certificate = world.file("mail.asc")
  mkdirSync(world.file("machine"), { mode: 0o700 })
  world.ok("machine", "trust", world.archive, admin, "--yes")
  const keygen = ["source", "keygen", "mail", `dir://${data}`, "--exclude", "b", "--out"]
  world.fails("machine", 2, "source", "keygen", "mail", "http://x", "--out", certificate)
  world.ok("machine", ...keygen, certificate)
  world.fails("machine", 11, ...keygen, `${certificate}2`)
  world.fails("machine", 10, "backup", "mail")
  // Only the administrator enrols; a failed attempt leaves no keys behind.
  world.fails("oscar", 2, "source", "add", "other", `dir://${data}`)
  world.ok("admin", "source", "add", "mail", `dir://${data}`, "--certificate", certificate)
  world.fails("admin", 11, "source", "add", "mail", `dir://${data}`, "--certificate", certificate)
  world.ok("machine", "backup")
  assert.match(world.ok("machine", "runs", "mail"), /^mail@\S+ +complete/m)
  // A new signing key: the old one goes on until the administrator has enrolled the new one.
  assert.match(world.fails("admin", 10, "source", "rekey", "mail"), /source keygen mail --again/)
  world.ok("machine", "source", "keygen", "mail", "--again", "--out", world.file("next.asc"))
  world.ok("machine", "backup")
  world.ok("admin", "source", "rekey", "mail", "--certificate", world.file("next.asc"))
  world.ok("machine", "backup")
  world.ok("machine", "backup")
  world.ok("machine", "verify")
  assert.match(world.ok("admin", "source", "list"), /^mail +dir +elsewhere/m)
  world.ok("admin", "source", "remove", "mail")
  assert.match(world.ok("admin", "source", "list"), /^mail +dir +removed/m)
  assert.match(world.fails("machine", 12, "backup", "mail"), /accepts no more runs of mail/)
})

test("a holder is added with another's signature, and the next backup is sealed to them", () => {
  world.person("carol")
  const add = ["holder", "add", world.file("carol.asc")]
  assert.match(world.fails("admin", 12, ...add), /needs a present holder's signature/)
  const proposal = world.file("proposal")
  world.ok("admin", ...add, "--out", proposal)
  assert.notEqual(world.as("admin", "policy", "publish", proposal).status, 0)
  assert.match(world.ok("alice", "keyholder", "review", proposal), /carol/)
  world.ok("alice", "keyholder", "approve", proposal, "--out", `${proposal}.signed`, "--yes")
  world.ok("admin", "policy", "publish", `${proposal}.signed`)
  world.ok("carol", "trust", world.file("admin.asc"), world.fingerprints.get("admin") ?? "", "--yes")
  const request = world.file("for-carol")
  const ask = ["request", "docs@latest", "--reason", "a test", "--out"]
  const approve = (file: string) => world.as("carol", "keyholder", "approve", file, "--out", `${file}.release`, "--yes")
  world.ok("oscar", ...ask, `${request}-before`)
  assert.notEqual(approve(`${request}-before`).status, 0)
  world.ok("admin", "backup", "docs")
  world.ok("oscar", ...ask, request)
  assert.equal(approve(request).status, 0)
  const to = world.file("by-carol")
  world.ok("oscar", "restore", "docs@latest", "--release", `${request}.release`, "--to", to)
  assert.equal(readFileSync(join(to, "a"), "utf8"), "second")
})

test("a removed operator's request is refused by the holder", () => {
  world.person("olga")
  world.ok("admin", "operator", "add", world.file("olga.asc"))
  world.ok("olga", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  const ask = (who: string, name: string) => {
    world.ok(who, "request", "docs@latest", "--reason", "a test", "--out", world.file(name))
    return world.file(name)
  }
  const approve = (file: string) => world.as("alice", "keyholder", "approve", file, "--out", `${file}.ok`, "--yes")
  const [before, later] = [ask("olga", "olga-1"), ask("olga", "olga-2")]
  assert.equal(approve(before).status, 0)
  world.ok("admin", "operator", "remove", world.fingerprints.get("olga") ?? "")
  world.fails("olga", 2, "request", "docs@latest", "--reason", "a test", "--out", world.file("olga-3"))
  // The holder works offline, and hears of the new policy with the next request that holds it.
  assert.equal(approve(ask("oscar", "oscar-1")).status, 0)
  const refused = approve(later)
  assert.equal(refused.status, 12, refused.stdout + refused.stderr)
})
