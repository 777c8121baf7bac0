// Drills with the real command: with a release and with a verifier's key, of whole and of damaged archives; what they leave
// behind, what the list, status and estimate say of them.

import assert from "node:assert/strict"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { drillCodec, exitCode } from "@backup-cloud/format"
import { writeIdentity } from "./disk.ts"
import { type Started, World } from "./world.ts"

const world = new World()
const data = world.file("data")
const scratch = world.file("scratch")
let release = ""
let run = ""

before(() => {
  mkdirSync(join(data, "folder"), { recursive: true })
  mkdirSync(scratch)
  writeFileSync(join(data, "letter"), "Dear all,\n")
  writeFileSync(join(data, "folder", "book"), "word ".repeat(50_000))
  chmodSync(join(data, "folder"), 0o550)
  world.start(data)
  world.ok("admin", "backup")
  ;[run = ""] = world.runs()
  release = world.release("docs@latest", "release")
})
after(() => {
  chmodSync(join(data, "folder"), 0o750)
  world.end()
})

const withRelease = (name = run, file = release): readonly string[] => [
  ...["drill", `docs@${name}`, "--scratch", scratch, "--release", file],
]
const results = (): string[] => world.objects("drills/").filter((name) => name.endsWith(".json"))
const newest = () => drillCodec.decode(readFileSync(join(world.archive, results().at(-1) ?? "")), "result")
const left = (): string[] => readdirSync(scratch)

/** Waits for a file that a process makes. */
async function within(file: string, { child, ended }: Started): Promise<void> {
  while (!existsSync(file)) {
    if (child.exitCode !== null) assert.fail(JSON.stringify(await ended))
    await sleep(20)
  }
}

test("without a release it chooses a run and says how to ask for it", () => {
  const said = world.ok("oscar", "drill", "docs", "--check", "test -s letter")
  assert.match(said, new RegExp(`backup-cloud request docs@${run} --reason "drill" --out docs@${run}.request`))
  assert.match(
    said,
    new RegExp(`backup-cloud drill docs@${run} --release docs@${run}.release --check 'test -s letter'`),
  )
  assert.deepEqual(results(), [])
})

test("a run passes, the signed result is in the archive, and nothing stays in the scratch place", () => {
  const said = world.ok("oscar", ...withRelease(), "--check", 'test "$(cat letter)" = "Dear all," && pwd > /dev/null')
  assert.match(said, /docs@\S+: passed/)
  assert.match(said, /controls: changed-file passed, flipped-byte passed, missing-volume passed, wrong-release passed/)
  assert.deepEqual(left(), [])
  const result = newest()
  assert.equal(result.run, run)
  assert.equal(result.operator, world.fingerprints.get("oscar"))
  assert.deepEqual(
    result.checks.map(({ name }) => name),
    ["files", "owner", "restored"],
  )
  assert.match(world.ok("admin", "drill", "--list"), new RegExp(`^docs@${run} +passed +2`, "m"))
  world.ok("admin", "verify")
})

test("the owner's check decides", () => {
  const said = world.fails("oscar", exitCode.differs, ...withRelease(), "--check", "echo no service; exit 3")
  assert.match(said, /check: no service/)
  assert.match(said, /failed: the owner's own check failed/)
  assert.equal(newest().outcome, "failed")
  assert.deepEqual(left(), [])
})

test("ransomware in the archive: the drill fails, and --salvage brings the rest and says what is lost", () => {
  writeFileSync(join(data, "later"), "after the first run\n")
  world.ok("admin", "backup")
  const second = world.release("docs@latest", "second")
  const volume = world.objects(`backup/docs/${run}/volume-`)[0] ?? ""
  const sealed = readFileSync(join(world.archive, volume))
  writeFileSync(join(world.archive, volume), "PAY UP\n")
  const said = world.fails("oscar", exitCode.tampered, ...withRelease("latest", second))
  assert.match(said, new RegExp(`${volume}: is not what the source signed`))
  assert.equal(newest().reason, "the restore ended as tampered")
  assert.deepEqual(left(), [])
  const to = world.file("salvaged")
  const salvage = ["restore", "docs@latest", "--release", second, "--salvage", "--to", to]
  const lost = world.fails("oscar", exitCode.incomplete, ...salvage)
  assert.match(lost, /LOST letter/)
  assert.match(lost, /LOST folder\/book/)
  assert.equal(readFileSync(join(to, "later"), "utf8"), "after the first run\n")
  assert.equal(existsSync(join(to, "letter")), false)
  writeFileSync(join(world.archive, volume), sealed)
  world.ok("oscar", ...withRelease("latest", second))
})

test("a drill that is stopped leaves nothing, and what a killed one left the next one removes", async () => {
  const before = results().length
  const stopped = world.spawn("oscar", ...withRelease(), "--check", "touch ../../started; sleep 60")
  const started = join(scratch, "started")
  await within(started, stopped)
  stopped.child.kill("SIGTERM")
  assert.equal((await stopped.ended).status, 130)
  rmSync(started)
  assert.deepEqual(left(), [])
  const killed = world.spawn(
    "oscar",
    ...withRelease(),
    "--check",
    "touch ../../started; exec sleep 600 > /dev/null 2>&1",
  )
  await within(started, killed)
  const { pid = 0 } = killed.child
  process.kill(-pid, "SIGKILL")
  await killed.ended
  rmSync(started)
  assert.equal(left().length, 1)
  world.ok("oscar", ...withRelease())
  assert.deepEqual(left(), [])
  assert.equal(results().length, before + 1)
})

test("the policy says how often, and status and the list say what is overdue", () => {
  world.ok("admin", "policy", "drill", "docs", "--every", "30d", "--rto", "4h", "--rpo", "26h")
  world.ok("admin", "status")
  world.ok("oscar", ...withRelease())
  const { rto_minutes: rto, rpo_minutes: rpo, checks } = newest()
  assert.deepEqual([rto, rpo, checks.length], [240, 1560, 4])
  const kept = world.keep()
  rmSync(join(world.archive, "drills"), { recursive: true })
  const said = world.fails("admin", exitCode["open-risk"], "status")
  assert.match(said, /docs: a drill is overdue, meant every 30 days; it never passed one/)
  assert.match(world.ok("admin", "drill", "--list"), /docs: a drill is overdue/)
  kept()
  world.ok("admin", "policy", "drill", "docs", "--never")
  for (const wrong of [[], ["--every", "90m"], ["--every", "30d", "--never"]])
    world.fails("admin", exitCode.usage, "policy", "drill", "docs", ...wrong)
})

test("a result counts only with the signature of who may drill", () => {
  const [name = ""] = results()
  const file = join(world.archive, name)
  const text = readFileSync(file, "utf8")
  writeFileSync(file, text.replace('"entries": ', '"entries": 1'))
  assert.match(world.ok("admin", "drill", "--list"), /DOES NOT COUNT: has no signature that counts/)
  writeFileSync(file, text)
  assert.doesNotMatch(world.ok("admin", "drill", "--list"), /DOES NOT COUNT/)
})

test("how long a restore would take: from drills, or from a sample", () => {
  assert.match(
    world.ok("admin", "drill", "--estimate"),
    /^docs@latest: about \S+ s, from [1-5] drills, the last of docs/m,
  )
  const sample = world.ok("oscar", "drill", `docs@${run}`, "--estimate", "--release", release)
  assert.match(sample, /from 1 of its 1 volumes, fetched and opened just now/)
})

test("a verifier drills without a release what it is enrolled for, and nothing else", () => {
  const other = world.file("mail")
  mkdirSync(other)
  writeFileSync(join(other, "inbox"), "From: nobody\n")
  world.ok("admin", "source", "add", "mail", `dir://${other}`)
  world.ok("admin", "backup", "mail")
  const vera = world.person("vera", "30d")
  world.ok("vera", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  const add = ["verifier", "add", world.file("vera.asc"), "--source", "docs"]
  world.fails("admin", exitCode.refused, ...add)
  const proposal = world.file("proposal")
  world.ok("admin", ...add, "--out", proposal)
  world.ok("alice", "keyholder", "approve", proposal, "--out", `${proposal}.signed`, "--yes")
  world.ok("admin", "policy", "publish", `${proposal}.signed`)
  assert.match(
    world.ok("admin", "keys", "list"),
    /verifier +vera +present .*\n +accepted risk: opens runs of docs alone/,
  )
  assert.match(
    world.as("admin", "doctor").stdout,
    /FAIL +the key of the verifier vera, who opens docs alone \(an accepted risk\), .*: it ends on/,
  )

  const asVerifier = ["--verifier", "--scratch", scratch]
  // What was sealed before is not sealed to it.
  assert.match(
    world.fails("vera", exitCode.refused, "drill", `docs@${run}`, ...asVerifier),
    /no private key here opens/,
  )
  const before = results().length
  for (const source of ["docs", "mail"]) world.ok("admin", "backup", source)
  world.fails("vera", exitCode.usage, "drill", "mail@latest", ...asVerifier)
  assert.equal(results().length, before)
  world.ok("vera", "drill", "docs@latest", ...asVerifier)
  assert.equal(newest().operator, vera)
  assert.match(world.ok("admin", "drill", "--list", "docs"), /passed/)

  // What must not come back does not for practice either, and its records are sealed to verifiers too.
  const gone = ["--check", "test ! -e letter && test -e folder/book"]
  world.fails("vera", exitCode.differs, "drill", "docs@latest", ...asVerifier, ...gone)
  world.ok("admin", "erase", "add", "docs", "--path", "/letter", "--reason", "a test", "--yes")
  assert.match(world.ok("vera", "drill", "docs@latest", ...asVerifier, ...gone), /passed/)

  // A holder releases such a run as before.
  const again = world.release("docs@latest", "again")
  world.ok("oscar", "restore", "docs@latest", "--release", again, "--to", world.file("from-holder"))

  world.ok("admin", "policy", "drill", "docs", "--every", "1d")
  world.ok("admin", "policy", "drill", "mail", "--every", "1d")
  const due = world.as("vera", "drill", "--due", ...asVerifier)
  assert.equal(due.status, 0, due.stderr)
  assert.match(due.stdout, /No drill is due/)
  assert.match(due.stderr, /mail is due as well, and needs a release/)
  // Of the runs that there are, it takes one that is sealed to it.
  for (const place of [world.archive, join(world.file("vera"), "backup-cloud")])
    rmSync(join(place, "drills"), { recursive: true })
  assert.match(world.ok("vera", "drill", "--due", ...asVerifier), /passed/)
  assert.deepEqual(results().length, 1)
  world.fails("oscar", exitCode.usage, "drill", "--due", "--release", release)
  world.fails("oscar", exitCode.usage, "drill", "docs", "--release", release)
  world.fails("vera", exitCode.usage, "drill", "docs", ...asVerifier, "--key", vera, "--release", release)
})

test("from a medium the result stays in the home until it is put into the archive", () => {
  const medium = "0123456789abcdef0123456789abcdef"
  const disk = world.file("disk")
  world.keep()
  mkdirSync(disk)
  for (const name of world.objects()) {
    mkdirSync(join(disk, name, ".."), { recursive: true })
    writeFileSync(join(disk, name), readFileSync(join(world.archive, name)))
  }
  writeIdentity(disk, world.archive, medium)
  const before = results().length
  const said = world.ok("vera", "--archive", disk, "drill", "docs@latest", "--verifier", "--scratch", scratch)
  assert.equal(results().length, before)
  const [, file = ""] = /The signed result is in (\S+);/.exec(said) ?? []
  assert.equal(drillCodec.decode(readFileSync(file), file).from, medium)
  world.ok("oscar", "drill", "--publish", file)
  world.ok("oscar", "drill", "--publish", file)
  assert.equal(results().length, before + 1)
  assert.match(world.ok("admin", "drill", "--list"), new RegExp(`from medium ${medium}`))
  writeFileSync(file, readFileSync(file, "utf8").replace('"total_ms": ', '"total_ms": 1'))
  world.fails("oscar", exitCode.refused, "drill", "--publish", file)
})
