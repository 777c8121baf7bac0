// Attacks by people with rights on the archive or with somebody's whole home. Each shows that it fails, and that the same
// thing succeeds once the damage is mended or the missing key is given.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { BackupError, decodeRoot, derivedPassphrase, names, statePassphrase } from "@backup-cloud/format"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { backupInSteps, changeVolume, open, sign, sourceSecret } from "./forge.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
const contents: Readonly<Record<string, string>> = { a: "first", b: "second", c: "third" }
let first = ""
let second = ""
let last = ""
let release = ""
let mend: () => void

before(async () => {
  mkdirSync(data)
  world.start(data)
  writeFileSync(join(data, "a"), contents["a"] ?? "")
  world.ok("admin", "backup")
  writeFileSync(join(data, "b"), contents["b"] ?? "")
  world.ok("admin", "backup")
  writeFileSync(join(data, "c"), contents["c"] ?? "")
  const { run, number } = await backupInSteps(world, data)
  assert.equal(number, 2, "a checkpoint, then the whole")
  ;[first = "", second = "", last = ""] = world.runs()
  assert.equal(last, run)
  world.ok("admin", "verify")
  world.ok("oscar", "verify")
  release = world.release("docs@latest", "release")
  world.ok("bob", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  mend = world.keep()
})
after(() => {
  world.end()
})

const object = (run: string, base: string): string => names.runDirectory("docs", run) + base
const file = (name: string): string => join(world.archive, name)
let targets = 0

/** What a restore of the last run by oscar ends with, and the files that it left. */
function restored(...options: string[]): { status: number | null; said: string; files: Record<string, string> } {
  const target = world.file(`target-${targets++}`)
  const args = ["restore", "docs@latest", "--release", release, "--to", target, ...options]
  const { status, stdout, stderr } = world.as("oscar", ...args)
  const entries = existsSync(target) ? readdirSync(target, { recursive: true, withFileTypes: true }) : []
  const found = entries.filter((each) => each.isFile() && each.parentPath === target).map((each) => each.name)
  const files = Object.fromEntries(found.map((name) => [name, readFileSync(join(target, name), "utf8")]))
  assert.equal(entries.filter((each) => each.isFile()).length, found.length, "nothing lies in subdirectories")
  return { status, said: stdout + stderr, files }
}

function isWhole(): void {
  world.ok("admin", "verify")
  const { status, said, files } = restored("--verify")
  assert.equal(status, 0, said)
  assert.deepEqual(files, contents)
}

test("a restore writes no byte of an archive that has a flipped byte anywhere it looks", () => {
  const objects = world.objects()
  assert.ok(objects.length > 30)
  const stopped = new Set<string>()
  for (const name of objects) {
    const original = readFileSync(file(name))
    const bytes = Buffer.from(original)
    const middle = bytes.length >> 1
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
    writeFileSync(file(name), bytes)
    const { status, said, files } = restored()
    writeFileSync(file(name), original)
    if (status === 0) {
      // Not a byte of it was needed.
      assert.deepEqual(files, contents, name)
    } else {
      stopped.add(name)
      // What is whole may come back before the damage is met; what is damaged never does.
      for (const [path, text] of Object.entries(files)) assert.equal(text, contents[path], `${name}: ${path}`)
      assert.ok([12, 31, 50].includes(status ?? -1), `${name}: ${status ?? "a signal"}\n${said}`)
    }
  }
  const own = [names.volume(1), names.root(2), names.receipt(2), names.sums(2), names.signature(2)]
  const earlier = [first, second].map((run) => object(run, names.volume(1)))
  for (const name of [...own.map((base) => object(last, base)), ...earlier]) assert.ok(stopped.has(name), name)
  isWhole()
})

interface Attack {
  /** What is said contains it. */
  readonly named: string
  readonly exit: 12 | 31 | 50
  /** Whether a restore still may succeed, as nothing it reads is touched. */
  readonly harmless?: boolean
  readonly damage: () => void | Promise<void>
}

const swap = (one: string, two: string): void => {
  const bytes = readFileSync(file(one))
  writeFileSync(file(one), readFileSync(file(two)))
  writeFileSync(file(two), bytes)
}
const remove = (run: string, ...bases: readonly string[]): void => {
  for (const base of bases) rmSync(file(object(run, base)))
}
const commitOf = (number: number): string[] => [names.receipt(number), names.sums(number), names.signature(number)]

const attacks = (): Readonly<Record<string, Attack>> => ({
  "a volume renamed": {
    ...{ named: object(last, names.volume(1)), exit: 31 },
    damage: () => {
      renameSync(file(object(last, names.volume(1))), file(object(last, names.volume(2))))
    },
  },
  "two kinds of object swapped": {
    ...{ named: object(last, names.root(2)), exit: 31 },
    damage: () => {
      swap(object(last, names.root(2)), object(last, names.catalogue(1)))
    },
  },
  "the keys of two runs swapped": {
    ...{ named: object(last, names.key), exit: 31, harmless: true },
    damage: () => {
      swap(object(last, names.key), object(first, names.key))
    },
  },
  "a volume of another run in its place": {
    ...{ named: object(last, names.volume(1)), exit: 31 },
    damage: () => {
      writeFileSync(file(object(last, names.volume(1))), readFileSync(file(object(first, names.volume(1)))))
    },
  },
  "the last run removed": {
    ...{ named: last, exit: 50 },
    damage: () => {
      rmSync(file(names.runDirectory("docs", last)), { recursive: true })
    },
  },
  "a middle run removed": {
    ...{ named: second, exit: 31 },
    damage: () => {
      rmSync(file(names.runDirectory("docs", second)), { recursive: true })
    },
  },
  "the last receipt removed": {
    ...{ named: object(last, names.receipt(2)), exit: 50 },
    damage: () => {
      remove(last, ...commitOf(2))
    },
  },
  "a receipt replaced by the one before it": {
    ...{ named: object(last, names.receipt(2)), exit: 50 },
    damage: () => {
      writeFileSync(file(object(last, names.receipt(2))), readFileSync(file(object(last, names.receipt(1)))))
    },
  },
  "a whole commit replaced by the one before it": {
    ...{ named: object(last, names.receipt(2)), exit: 50 },
    damage: () => {
      for (const [i, base] of commitOf(2).entries())
        writeFileSync(file(object(last, base)), readFileSync(file(object(last, commitOf(1)[i] ?? ""))))
    },
  },
  "a whole commit replaced by one of an older run": {
    ...{ named: object(second, names.receipt(1)), exit: 31 },
    damage: () => {
      for (const base of commitOf(1)) writeFileSync(file(object(second, base)), readFileSync(file(object(first, base))))
    },
  },
  "a signature by somebody else": {
    ...{ named: object(second, names.signature(1)), exit: 31 },
    damage: async () => {
      await sign(world, second, (await generateKey({ userId: "docs <docs@example.org>", kind: "sign" })).secretKey)
    },
  },
  "sums with the line ends of another system": {
    ...{ named: object(second, names.sums(1)), exit: 31 },
    damage: () => {
      const text = readFileSync(file(object(second, names.sums(1))), "latin1")
      writeFileSync(file(object(second, names.sums(1))), text.replaceAll("\n", "\r\n"), "latin1")
    },
  },
  "a lower policy": {
    ...{ named: names.policy(2), exit: 50 },
    damage: () => {
      for (const name of world.objects("config/policy-000002")) rmSync(file(name))
    },
  },
  "a second certificate in the administrator's file": {
    ...{ named: "config/admin/", exit: 12 },
    damage: () => {
      const [admin = ""] = world.objects("config/admin/")
      appendFileSync(file(admin), readFileSync(world.file("oscar.asc")))
    },
  },
  "a second certificate in a holder's file": {
    ...{ named: "config/public-keys/bob", exit: 31, harmless: true },
    damage: () => {
      const [holder = ""] = world.objects("config/public-keys/bob")
      appendFileSync(file(holder), readFileSync(world.file("oscar.asc")))
    },
  },
  "a second certificate in the source's file": {
    ...{ named: "config/sources/docs", exit: 50 },
    damage: () => {
      const [source = ""] = world.objects("config/sources/docs")
      appendFileSync(file(source), readFileSync(world.file("oscar.asc")))
    },
  },
})

test("each of these is named by verify, and a restore brings nothing of it", async (t) => {
  for (const [what, { named, exit, harmless = false, damage }] of Object.entries(attacks())) {
    await t.test(what, async () => {
      try {
        await damage()
        const said = world.as("admin", "verify")
        assert.equal(said.status, exit, said.stdout + said.stderr)
        assert.ok((said.stdout + said.stderr).includes(named), `${named} is not named in\n${said.stdout}${said.stderr}`)
        const { status, files } = restored()
        assert.equal(status === 0, harmless, `restore ended with ${status ?? "a signal"}`)
        for (const [path, text] of Object.entries(files)) assert.equal(text, contents[path], path)
      } finally {
        mend()
      }
      world.ok("admin", "verify")
    })
  }
  isWhole()
})

/** The run keys that a release names, by run. */
function keysOf(who: string, message: string): Map<string, string> {
  const args = ["--homedir", world.file(who), "--batch", "--quiet", "-d", message]
  const { stdout } = spawnSync("gpg", args, { encoding: "utf8" })
  return new Map([...stdout.matchAll(/"(\S+) key\.gpg ([0-9a-f]{64})"/g)].map(([, run = "", key = ""]) => [run, key]))
}

test("the source's home and the whole archive open the cache and no content; a run key does", async () => {
  const home = world.file("stolen")
  cpSync(join(world.file("admin"), "backup-cloud"), home, { recursive: true })
  const secret = sourceSecret(world)
  const hex = Buffer.from(secret).toString("hex")
  const keys = keysOf("oscar", release)
  const key = keys.get(last) ?? ""
  assert.match(key, /^[0-9a-f]{64}$/)
  // The cache is what the home gives away.
  const base = names.root(2)
  const state = await open(file(names.stateDirectory("docs", last) + base), statePassphrase(secret, last, base))
  assert.equal(decodeRoot(state, base).run, last)
  const sealed = readdirSync(file(names.runDirectory("docs", last))).filter((name) => /^(?:vol|cat|root)/.test(name))
  assert.ok(sealed.length >= 3, sealed.join(" "))
  for (const name of sealed) {
    const place = file(object(last, name))
    const guesses = [statePassphrase(secret, last, name), derivedPassphrase(hex, last, name), hex, ""]
    for (const guess of guesses) await assert.rejects(open(place, guess), BackupError, name)
    assert.ok((await open(place, derivedPassphrase(key, last, name))).length > 0)
  }
  // Nothing in the home is a run key, or a private key that opens something.
  const held = readdirSync(home, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
  assert.ok(held.length >= 3)
  for (const each of held) {
    const text = readFileSync(join(each.parentPath, each.name), "latin1")
    for (const run of keys.values()) assert.equal(text.includes(run), false, each.name)
  }
  assert.ok(held.some((each) => readFileSync(join(each.parentPath, each.name), "latin1").includes(hex)))
  const keyring = world.file("thief")
  mkdirSync(keyring, { mode: 0o700 })
  const gpg = (...args: string[]) => spawnSync("gpg", ["--homedir", keyring, "--batch", ...args], { encoding: "utf8" })
  assert.equal(gpg("--import", join(home, "sources/docs/signing-key.asc")).status, 0)
  try {
    assert.match(gpg("--with-colons", "--list-secret-keys").stdout, /^sec:/m)
    assert.notEqual(gpg("-d", file(object(last, names.key))).status, 0)
    const alice = spawnSync("gpg", ["--homedir", world.file("alice"), "--batch", "-d", file(object(last, names.key))])
    assert.ok(alice.stdout.toString().includes(key))
  } finally {
    spawnSync("gpgconf", ["--homedir", keyring, "--kill", "all"])
  }
})

test("an operator's home without a release opens no object; a release for another operator neither", () => {
  for (const name of world.objects("backup/").filter((each) => each.endsWith(".gpg"))) {
    const args = ["--batch", "--pinentry-mode", "loopback", "--passphrase", "", "-d", file(name)]
    assert.notEqual(spawnSync("gpg", ["--homedir", world.file("oscar"), ...args]).status, 0, name)
    assert.equal(spawnSync("gpg", ["--homedir", world.file("alice"), ...args], { maxBuffer: 2 ** 28 }).status, 0, name)
  }
  world.fails("oscar", 12, "restore", "docs@latest", "--to", world.file("none"))
  // Bob is a holder and no operator, so what was released to oscar is no use to him.
  world.fails("bob", 2, "restore", "docs@latest", "--release", release, "--to", world.file("none"))
  const key = world.fingerprints.get("bob") ?? ""
  world.fails("bob", 12, "restore", "docs@latest", "--release", release, "--key", key, "--to", world.file("none"))
  assert.equal(existsSync(world.file("none")), false)
  isWhole()
})

test("a release of the volumes alone opens nothing until the names are released too", () => {
  const request = world.file("release.request")
  const volumes = world.file("volumes-only")
  world.ok("bob", "keyholder", "approve", request, "--volumes-only", "--out", volumes, "--yes")
  const shown = spawnSync("gpg", ["--homedir", world.file("oscar"), "--batch", "--quiet", "-d", volumes]).stdout
  assert.equal(/ (?:key\.gpg|root-|catalogue-)/.test(shown.toString()), false)
  assert.match(shown.toString(), / volume-/)
  world.fails("oscar", 12, "files", "docs@latest", "--release", volumes)
  const catalogue = world.release("docs@latest", "catalogue", "--catalogue")
  world.fails("oscar", 12, "cat", "docs@latest", "a", "--release", catalogue)
  assert.equal(world.ok("oscar", "cat", "docs@latest", "a", "--release", catalogue, "--release", volumes), "first")
})

test("a release for one run opens no other", () => {
  const old = world.release(`docs@${first}`, "old")
  world.fails("oscar", 12, "files", "docs@latest", "--release", old)
  assert.match(world.ok("oscar", "files", `docs@${first}`, "--release", old), / a$/m)
  world.ok("oscar", "files", "docs@latest", "--release", release)
})

test("a symbolic link in a volume that the source itself signed is refused", async () => {
  const key = keysOf("oscar", world.file("old")).get(first) ?? ""
  // Only the first run is left, as a machine sees it that never saw another.
  for (const run of [second, last]) rmSync(file(names.runDirectory("docs", run)), { recursive: true })
  const home = world.file("fresh")
  const args = ["--home", home, "--archive", world.archive]
  world.ok("oscar", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes", ...args)
  const restore = (to: string): string[] => {
    const all = ["restore", `docs@${first}`, "--release", world.file("old"), "--to", world.file(to)]
    return [...all, "--home", world.file(`home-${to}`), "--archive", world.archive]
  }
  const trust = (to: string): void => {
    const pin = ["trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes"]
    world.ok("oscar", ...pin, "--home", world.file(`home-${to}`))
  }
  await changeVolume(world, first, key, () => undefined)
  trust("sealed-again")
  world.ok("oscar", ...restore("sealed-again"))
  await changeVolume(world, first, key, (tar) => {
    tar.write("2", 156, "latin1")
    tar.write("/etc/passwd", 157, "latin1")
    const sum = tar.subarray(0, 512).reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0)
    tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  })
  trust("link")
  const said = world.fails("oscar", 31, ...restore("link"))
  assert.ok(said.includes(names.volume(1)), said)
  assert.equal(existsSync(join(world.file("link"), "a")), false)
  mend()
  isWhole()
})
