// From a hostile tree to the same tree again, once through the program and once with stock tools alone.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { makeHostileTree } from "../../source-dir/test/hostile-tree.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
let release = ""

before(async () => {
  await makeHostileTree(data, { bigFile: true })
  world.start(data)
  world.ok("admin", "backup")
  release = world.release("docs@latest", "release")
})
after(() => {
  world.end()
})

interface Allowed {
  readonly line: string
  readonly reason: string
}

/** A release as `gpg -d` shows it. It complains of the holder's signature, whose key is in no keyring here. */
function opened(file: string): string {
  const args = ["--homedir", world.file("oscar"), "--batch", "--quiet", "-d", file]
  return spawnSync("gpg", args, { encoding: "utf8" }).stdout
}

/** What rsync would change to make `restored` like `data`, but for what is allowed with a reason. */
function differences(restored: string): string[] {
  const allowed = JSON.parse(readFileSync(join(import.meta.dirname, "allowed-differences.json"), "utf8")) as Allowed[]
  const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${restored}/`]
  const lines = execFileSync("rsync", args, { encoding: "utf8" }).split("\n")
  return lines.filter((line) => line !== "" && !allowed.some((each) => new RegExp(`^${each.line}$`).test(line)))
}

test("restore gives the tree again", () => {
  const target = world.file("restored")
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", target, "--set-id", "--devices", "--verify")
  assert.deepEqual(differences(target), [])
  // The comparison itself can find something.
  appendFileSync(join(target, "added"), "x")
  assert.notDeepEqual(differences(target), [])
})

test("recover.sh gives the tree again, with stock tools alone", () => {
  const target = world.file("recovered")
  const [run = ""] = world.runs()
  const args = [
    "--admin",
    world.fingerprints.get("admin") ?? "",
    "--passphrases",
    "/dev/stdin",
    "--set-id",
    "--devices",
    "docs",
    run,
    target,
  ]
  const ended = spawnSync("sh", [join(world.archive, "recover.sh"), ...args], {
    input: opened(release),
    encoding: "utf8",
  })
  assert.equal(ended.status, 0, ended.stderr)
  assert.deepEqual(differences(target), [])
})

test("set-id bits and devices come back only when they are asked for", () => {
  const target = world.file("plain")
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", target)
  assert.equal(existsSync(join(target, "special/null")), false)
  assert.equal(statSync(join(data, "modes/4755")).mode & 0o7777, 0o4755)
  assert.equal(statSync(join(target, "modes/4755")).mode & 0o7777, 0o755)
})

test("without a holder's release nothing opens; a release of one run opens no other", () => {
  writeFileSync(join(data, "later"), "later")
  world.ok("admin", "backup")
  const [first = "", second = ""] = world.runs()
  const refused = world.as("oscar", "restore", `docs@${second}`, "--release", release, "--to", world.file("no"))
  assert.equal(refused.status, 12, refused.stderr)
  world.ok("oscar", "files", `docs@${first}`, "--release", release)
  const other = world.release(`docs@${second}`, "other")
  assert.equal(world.ok("oscar", "cat", `docs@${second}`, "later", "--release", other), "later")
})

test("a release of chosen paths opens those and nothing else", () => {
  const catalogue = world.release("docs@latest", "catalogue", "--catalogue")
  assert.match(world.ok("oscar", "files", "docs@latest", "later", "--release", catalogue), / later$/m)
  const closed = world.as("oscar", "cat", "docs@latest", "later", "--release", catalogue)
  assert.equal(closed.status, 12, closed.stderr)
  const volumes = world.release("docs@latest", "volumes", "--path", "later", "--release", catalogue)
  const both = ["--release", catalogue, "--release", volumes]
  assert.equal(world.ok("oscar", "cat", "docs@latest", "later", ...both), "later")
  const all = world.as("oscar", "restore", "docs@latest", ...both, "--to", world.file("all"))
  assert.equal(all.status, 12, all.stderr)
})

test("the source's whole home holds no key of a run, and opens nothing of the archive", () => {
  const home = world.file("admin/backup-cloud")
  const secret = / key\.gpg ([0-9a-f]{64})/.exec(opened(release))?.[1] ?? ""
  assert.match(secret, /^[0-9a-f]{64}$/)
  const found = (text: string): boolean => spawnSync("grep", ["-rqa", "--", text, home]).status === 0
  assert.equal(found(secret), false)
  // The same search finds what is there.
  assert.equal(found(readFileSync(join(home, "sources/docs/secret"), "latin1").trim()), true)
  const sealed = world.objects("backup/").filter((name) => name.endsWith(".gpg"))
  assert.ok(sealed.length >= 4)
  const keyring = world.file("thief")
  mkdirSync(keyring, { mode: 0o700 })
  spawnSync("gpg", ["--homedir", keyring, "--batch", "--import", join(home, "sources/docs/signing-key.asc")])
  const open = (who: string, name: string) =>
    spawnSync(
      "gpg",
      [
        "--homedir",
        world.file(who),
        "--batch",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        secret.replace(/^./, "x"),
        "-d",
        join(world.archive, name),
      ],
      { stdio: "ignore" },
    )
  for (const name of sealed) assert.notEqual(open("thief", name).status, 0, name)
  for (const name of sealed) assert.equal(open("alice", name).status, 0, name)
  spawnSync("gpgconf", ["--homedir", keyring, "--kill", "all"])
})

test("a certificate that no policy names makes backup refuse, until it is gone", () => {
  const stray = join(world.archive, "config/public-keys", `mallory-${"0".repeat(16)}.asc`)
  cpSync(world.file("oscar.asc"), stray)
  const refused = world.as("admin", "backup")
  assert.equal(refused.status, 12, refused.stderr)
  assert.match(refused.stderr, /mallory/)
  renameSync(stray, world.file("mallory.asc"))
  world.ok("admin", "backup")
})
