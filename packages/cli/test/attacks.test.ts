// Attacks by people with all rights on the archive, some with a key besides. Each shows that it fails, and that the same
// thing succeeds once it is mended or done with the right key.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { names } from "@backup-cloud/format"
import { generateKey } from "@backup-cloud/openpgp/keygen"
import { backupInSteps, changeVolume, sign, signingKey } from "./forge.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
const contents: Readonly<Record<string, string>> = { a: "first", b: "second", c: "third" }
let first = ""
let second = ""
let last = ""
let release = ""
let mend: () => void
/** What admin's machine knows of the archive that `mend` puts back. */
let remembered = ""

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
  mend = world.keep()
  remembered = readFileSync(join(world.file("admin"), "backup-cloud/trust.json"), "utf8")
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

interface Attack {
  /** What is said contains it. */
  readonly named: string
  readonly exit: 12 | 31 | 50
  /** Whether a restore still may succeed, as nothing it reads is touched. */
  readonly harmless?: boolean
  readonly damage: () => void | Promise<void>
}

const batch = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
const gpg = (who: string, ...args: string[]): Buffer =>
  execFileSync("gpg", ["--homedir", world.file(who), ...batch, ...args], { stdio: ["ignore", "pipe", "ignore"] })

/** Somebody's certificate with the revocation that gpg made together with the key. */
function revoked(who: string): Buffer {
  const fingerprint = world.fingerprints.get(who) ?? ""
  const home = world.file(`${who}-revoked`)
  mkdirSync(home, { mode: 0o700 })
  const text = readFileSync(join(world.file(who), "openpgp-revocs.d", `${fingerprint}.rev`), "utf8")
  // A colon keeps people from importing it by mistake.
  writeFileSync(join(home, "revocation"), text.replace(/^:---/m, "---"))
  world.fingerprints.set(`${who}-revoked`, fingerprint)
  gpg(`${who}-revoked`, "--import", world.file(`${who}.asc`))
  gpg(`${who}-revoked`, "--import", join(home, "revocation"))
  return gpg(`${who}-revoked`, "--armor", "--export-options", "export-minimal", "--export", fingerprint)
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
  "a certificate that no policy names": {
    ...{ named: "config/public-keys/mallory", exit: 12, harmless: true },
    damage: () => {
      cpSync(world.file("oscar.asc"), file(`config/public-keys/mallory-${"0".repeat(16)}.asc`))
    },
  },
  "a policy signed by somebody else": {
    ...{ named: names.policy(2), exit: 50 },
    damage: () => {
      rmSync(file(`${names.policy(2)}.sig`))
      gpg("oscar", "--detach-sign", "--output", file(`${names.policy(2)}.sig`), file(names.policy(2)))
    },
  },
  "the administrator's key, revoked": {
    ...{ named: "config/policy-000001.json", exit: 31 },
    damage: () => {
      const [admin = ""] = world.objects("config/admin/")
      writeFileSync(file(admin), revoked("admin"))
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

/** The run key of the first run, as a release of it says. */
function keyOfFirst(): string {
  const args = ["--homedir", world.file("oscar"), "--batch", "--quiet", "-d", world.release(`docs@${first}`, "old")]
  const { stdout } = spawnSync("gpg", args, { encoding: "utf8" })
  return new RegExp(`"${first} key\\.gpg ([0-9a-f]{64})"`).exec(stdout)?.[1] ?? ""
}

test("a symbolic link in a volume that the source itself signed is refused", async () => {
  const key = keyOfFirst()
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

test("a revoked certificate is not enrolled, as whatever it is; before it was revoked it is", () => {
  world.person("rita")
  const good = world.file("rita.asc")
  const bad = world.file("rita-revoked.asc")
  writeFileSync(bad, revoked("rita"))
  const enrolments = [
    ["holder", "add", "CERTIFICATE", "--name", "rita", "--out", world.file("proposal")],
    ["operator", "add", "CERTIFICATE", "--name", "rita"],
    ["source", "add", "mail", `dir://${data}`, "--certificate", "CERTIFICATE"],
  ]
  for (const enrolment of enrolments) {
    const as = (certificate: string): string[] => enrolment.map((word) => (word === "CERTIFICATE" ? certificate : word))
    assert.match(world.fails("admin", 12, ...as(bad)), /is revoked/)
    world.ok("admin", ...as(good))
    // One key has one role: the next is tried on the archive as it was.
    mend()
    writeFileSync(join(world.file("admin"), "backup-cloud/trust.json"), remembered)
  }
  isWhole()
})

test("a run signed with a key that the policy has ended does not count; with the present one it does", async () => {
  const stolen = signingKey(world)
  world.ok("admin", "source", "rekey", "docs")
  const between = world.keep()
  /** A run whose signatures arrive a few seconds later: the times of a policy are whole seconds. */
  const later = async (key: Uint8Array): Promise<string> => {
    const { run, number: last } = await backupInSteps(world, data, key)
    const time = new Date(Date.now() + 5_000)
    for (let number = 1; number <= last; number++) utimesSync(file(object(run, names.signature(number))), time, time)
    return run
  }
  const run = await later(stolen)
  const said = world.fails("admin", 12, "verify")
  assert.ok(said.includes(run) && said.includes("after the policy ended the key"), said)
  assert.ok(!world.ok("oscar", "runs", "docs").includes(`${run}  complete`))
  between()
  const good = await later(signingKey(world))
  world.ok("admin", "verify")
  assert.ok(world.ok("oscar", "runs", "docs").includes(`${good}  complete`))
})
