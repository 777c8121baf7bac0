// The whole journey with the real command: from a tree of everything that goes wrong to an archive, and back by `restore`
// and by recover.sh, compared by rsync, which knows nothing of either. Needs root, for devices and owners.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { makeHostileTree } from "../../source-dir/test/hostile-tree.ts"
import { makePeople, type People } from "./people.ts"

/** Lines of rsync that may be there, each with the reason why that is right. */
const allowed = JSON.parse(fs.readFileSync(join(import.meta.dirname, "rsync-allowed.json"), "utf8")) as Record<
  string,
  string
>

let people: People
let tree: string
let release: string

before(async () => {
  people = makePeople()
  tree = join(people.place, "tree")
  await makeHostileTree(tree, { bigFile: true })
  people.ok("admin", "source", "add", "docs", `dir://${tree}`)
  people.ok("admin", "backup")
  people.ok("admin", "verify")
  release = people.release("docs@latest", "whole")
})

after(() => {
  people[Symbol.dispose]()
})

function differences(to: string): string[] {
  const rsync = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${tree}/`, `${to}/`]
  const lines = execFileSync("rsync", rsync, { encoding: "latin1" }).split("\n").filter(Boolean)
  return lines.filter((line) => allowed[line] === undefined)
}

function recover(to: string, ...options: string[]): { status: number | null; err: string } {
  // Whoever decrypts by hand has the holder's certificate, so that gpg can tell who signed.
  people.gpg("otto", ["--import", join(people.place, "anna.asc")])
  const secrets = people.gpg("otto", ["-d"], fs.readFileSync(release))
  const run = fs.readdirSync(join(people.archive, "backup/docs"))[0] ?? ""
  const script = [join(people.archive, "recover.sh"), "--admin", people.admin, "--passphrases", "-", ...options]
  const done = spawnSync("sh", [...script, "docs", run, to], { input: secrets, encoding: "utf8" })
  return { status: done.status, err: done.stderr }
}

test("what restore brings back is the tree, as rsync sees it", () => {
  const to = join(people.place, "restored")
  const whole = ["--set-id", "--devices", "--verify"]
  people.ok("otto", "restore", "docs@latest", "--release", release, "--to", to, ...whole)
  assert.deepEqual(differences(to), [])
  fs.appendFileSync(join(to, "sizes/text"), "x")
  assert.equal(differences(to).length > 0, true, "the comparison sees a changed file")
})

test("what recover.sh brings back is the tree, as rsync sees it", () => {
  const to = join(people.place, "recovered")
  const { status, err } = recover(to, "--set-id", "--devices")
  assert.equal(status, 0, err)
  assert.deepEqual(differences(to), [])
})

test("set-id bits and devices come back only when they are asked for", () => {
  const to = join(people.place, "plain")
  people.ok("otto", "restore", "docs@latest", "--release", release, "--to", to)
  assert.equal(fs.existsSync(join(to, "special/null")), false)
  assert.equal(fs.statSync(join(to, "modes/4755")).mode & 0o7777, 0o755)
  assert.equal(fs.statSync(join(tree, "modes/4755")).mode & 0o7777, 0o4755)
})

test("an unchanged tree is not stored again, and its second run comes back as the first", () => {
  const before = bytesBelow(join(people.archive, "backup"))
  people.ok("admin", "backup")
  const added = bytesBelow(join(people.archive, "backup")) - before
  assert.equal(added < 400_000, true, `${added} bytes were stored`)
  const second = people.release("docs@latest", "second")
  const to = join(people.place, "again")
  people.ok("otto", "restore", "docs@latest", "--release", second, "--to", to, "--set-id", "--devices")
  assert.deepEqual(differences(to), [])
})

function bytesBelow(folder: string): number {
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
  return files.reduce((sum, each) => sum + fs.statSync(join(each.parentPath, each.name)).size, 0)
}
