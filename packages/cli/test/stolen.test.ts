// What somebody can do with another's whole home, a copy of the archive and a release: open what that gives them, and
// nothing else. Each test shows that the same thing succeeds once the missing key is there.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { BackupError, decodeRoot, derivedPassphrase, names, parseRunPath, statePassphrase } from "@backup-cloud/format"
import { open, sourceSecret } from "./forge.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
let first = ""
let second = ""
let release = ""

before(() => {
  mkdirSync(data)
  world.start(data)
  world.machine("machine", "mail", data)
  writeFileSync(join(data, "a"), "first")
  world.ok("machine", "backup")
  writeFileSync(join(data, "b"), "second")
  world.ok("machine", "backup")
  ;[first = "", second = ""] = world.runs("mail")
  release = world.release("mail@latest", "release")
})
after(() => {
  world.end()
})

const sealed = (): string[] => world.objects("backup/").filter((name) => name.endsWith(".gpg"))
const file = (name: string): string => join(world.archive, name)

/** A copy of somebody's whole home, keyring and all, for a thief of this name. */
function steal(who: string, thief: string): string {
  const plain = (source: string): boolean => !lstatSync(source).isSocket()
  cpSync(world.file(who), world.file(thief), { recursive: true, filter: plain })
  world.fingerprints.set(thief, "a keyring to close")
  return world.file(thief)
}

const batch = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
const gpg = (home: string, ...args: string[]) =>
  spawnSync("gpg", ["--homedir", home, ...batch, ...args], { maxBuffer: 2 ** 28 })
/** The sealed objects that a keyring opens. */
const openedBy = (home: string): string[] => sealed().filter((name) => gpg(home, "-d", file(name)).status === 0)

/** Gives the thief the private keys of somebody. */
function give(who: string, home: string): void {
  const key = gpg(world.file(who), "--export-secret-keys")
  const args = ["--homedir", home, ...batch, "--import"]
  assert.equal(spawnSync("gpg", args, { input: key.stdout }).status, 0)
}

interface Secret {
  readonly run: string
  readonly base: string
  readonly digits: string
}

/** What a release says to whom it is for. */
function secretsOf(who: string, message: string): Secret[] {
  const text = gpg(world.file(who), "-d", message).stdout.toString()
  const lines = text.matchAll(/"([0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}) (\S+) ([0-9a-f]{64})"/g)
  return [...lines].map(([, run = "", base = "", digits = ""]) => ({ run, base, digits }))
}

/** The sealed objects but keys that any of the secrets opens, used in every way that there is. */
async function openedWith(secrets: readonly Secret[]): Promise<string[]> {
  const found = []
  for (const name of sealed()) {
    const { run = "", base = "" } = parseRunPath(name) ?? {}
    const guesses = secrets.flatMap(({ digits }) => [digits, derivedPassphrase(digits, run, base)])
    for (const guess of guesses) {
      const bytes = await open(file(name), guess).catch((error: unknown) => {
        if (!(error instanceof BackupError)) throw error
      })
      if (bytes === undefined) continue
      found.push(name)
      break
    }
  }
  return found
}

test("the whole home of a source and the whole archive open its cache and no content; a holder's key does", async () => {
  const home = steal("machine", "thief")
  const held = readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => readFileSync(join(each.parentPath, each.name), "latin1"))
  const keys = held.filter((text) => text.includes("PRIVATE KEY"))
  assert.equal(keys.length, 1)
  for (const key of keys) {
    const args = ["--homedir", home, ...batch, "--import"]
    assert.equal(spawnSync("gpg", args, { input: key }).status, 0)
  }
  assert.match(gpg(home, "--with-colons", "--list-secret-keys").stdout.toString(), /^sec:/m)
  assert.ok(sealed().length >= 8, sealed().join(" "))

  // The cache is what the home gives away.
  const secret = sourceSecret(world, "machine", "mail")
  const base = names.root(1)
  const state = await open(file(names.stateDirectory("mail", second) + base), statePassphrase(secret, second, base))
  assert.equal(decodeRoot(state, base).run, second)

  const hex = Buffer.from(secret).toString("hex")
  assert.deepEqual(openedBy(home), [])
  assert.deepEqual(await openedWith([{ run: "", base: "", digits: hex }]), [])
  for (const name of sealed()) {
    const { run = "", base: own = "" } = parseRunPath(name) ?? {}
    await assert.rejects(open(file(name), statePassphrase(secret, run, own)), BackupError, name)
  }
  // No key of a run lies in the home, and looking for one would find what does.
  for (const { digits } of secretsOf("oscar", release)) assert.ok(!held.some((text) => text.includes(digits)))
  assert.ok(held.some((text) => text.includes(hex)))
  // The program gives the thief no more than gpg does.
  const ask = ["request", "mail@latest", "--reason", "a theft", "--out", world.file("theft")]
  assert.match(world.fails("thief", 2, ...ask), /no operator's key is in your keyring/)
  const target = world.file("stolen")
  const restore = ["restore", "mail@latest", "--release", release, "--to", target]
  assert.notEqual(world.as("thief", ...restore).status, 0)
  assert.equal(existsSync(target), false)

  give("alice", home)
  assert.deepEqual(openedBy(home), sealed())
  give("oscar", home)
  world.ok("thief", ...restore)
  assert.equal(readFileSync(join(target, "b"), "utf8"), "second")
})

test("an operator's home and the whole archive open nothing without a release; with one it restores", () => {
  const home = steal("oscar", "burglar")
  assert.match(gpg(home, "--with-colons", "--list-secret-keys").stdout.toString(), /^sec:/m)
  assert.deepEqual(openedBy(home), [])
  const target = world.file("burgled")
  const restore = ["restore", "mail@latest", "--to", target]
  assert.match(world.fails("burglar", 2, ...restore), /--release/)
  // A request is no release, and a release for somebody else neither.
  const refused = world.fails("burglar", 31, ...restore, "--release", world.file("release.request"))
  assert.match(refused, /and not the request itself/)
  world.person("olga")
  world.ok("admin", "operator", "add", world.file("olga.asc"))
  world.ok("olga", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  world.ok("olga", "request", "mail@latest", "--reason", "a test", "--out", world.file("olga.request"))
  const theirs = world.file("olga.release")
  world.ok("alice", "keyholder", "approve", world.file("olga.request"), "--out", theirs, "--yes")
  assert.notEqual(world.as("burglar", ...restore, "--release", theirs).status, 0)
  assert.equal(existsSync(target), false)

  world.ok("burglar", ...restore, "--release", release)
  assert.equal(readFileSync(join(target, "b"), "utf8"), "second")
  world.ok("olga", "cat", "mail@latest", "b", "--release", theirs)
  give("alice", home)
  assert.deepEqual(openedBy(home), sealed())
})

test("a holder's home and no data give nothing; what a holder opens needs the archive", () => {
  const home = steal("alice", "insider")
  assert.ok(!readdirSync(home, { recursive: true, encoding: "utf8" }).some((name) => /(?:volume|root)-/.test(name)))
  world.fails("insider", 2, "restore", "mail@latest", "--release", release, "--to", world.file("inside"))
  assert.equal(existsSync(world.file("inside")), false)
  assert.deepEqual(openedBy(home), sealed())
})

test("a release for one run opens all of that run and nothing of another", async () => {
  const old = world.release(`mail@${first}`, "old")
  const ofRun = (run: string) => sealed().filter((name) => name.includes(run) && !name.endsWith(names.key))
  assert.ok(ofRun(first).length >= 3 && ofRun(second).length >= 3)
  assert.deepEqual(await openedWith(secretsOf("oscar", old)), ofRun(first))
  world.fails("oscar", 12, "files", `mail@${second}`, "--release", old)
  world.fails("oscar", 12, "cat", `mail@${second}`, "b", "--release", old)
  assert.match(world.ok("oscar", "files", `mail@${first}`, "--release", old), / a$/m)
  const { base = "", digits } = secretsOf("oscar", release).find((each) => each.run === second) ?? {}
  assert.equal(base, names.key)
  assert.deepEqual(await openedWith([{ run: second, base, digits: digits ?? "" }]), ofRun(second))
  assert.equal(world.ok("oscar", "cat", `mail@${second}`, "b", "--release", release), "second")
})

test("a release of chosen paths opens the volumes that hold them and nothing else", async () => {
  const catalogue = world.release("mail@latest", "catalogue", "--catalogue")
  const listing = await openedWith(secretsOf("oscar", catalogue))
  assert.ok(listing.length >= 2, listing.join(" "))
  for (const name of listing) assert.match(name, /\/(?:root|catalogue)-/)
  world.fails("oscar", 12, "cat", "mail@latest", "b", "--release", catalogue)
  const paths = world.release("mail@latest", "paths", "--path", "b", "--release", catalogue)
  const volume = names.runDirectory("mail", second) + names.volume(1)
  assert.deepEqual(await openedWith(secretsOf("oscar", paths)), [volume])
  const both = ["--release", catalogue, "--release", paths]
  assert.equal(world.ok("oscar", "cat", "mail@latest", "b", ...both), "second")
  world.fails("oscar", 12, "cat", "mail@latest", "a", ...both)
  assert.equal(world.ok("oscar", "cat", "mail@latest", "a", "--release", release), "first")
})

test("a release of the volumes alone tells no name, until the catalogue is released too", async () => {
  // Another holder answers what alice has answered with more.
  world.ok("bob", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  const volumes = world.file("volumes-only")
  copyFileSync(world.file("release.request"), world.file("again.request"))
  const approve = ["keyholder", "approve", world.file("again.request"), "--volumes-only", "--yes", "--out"]
  world.ok("bob", ...approve, volumes)
  const opened = await openedWith(secretsOf("oscar", volumes))
  assert.deepEqual(
    opened,
    sealed().filter((name) => name.includes("/volume-")),
  )
  world.fails("oscar", 12, "cat", "mail@latest", "a", "--release", volumes)
  const both = ["--release", world.file("catalogue"), "--release", volumes]
  assert.equal(world.ok("oscar", "cat", "mail@latest", "a", ...both), "first")
})
