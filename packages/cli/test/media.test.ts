// Disks on the command line, on real file systems: an organisation with two of them, from the first sync to the day on which
// nothing is left but a disk.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { disk, type LoopDisk } from "../../media/test/disks.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
let one: LoopDisk
let two: LoopDisk

before(() => {
  mkdirSync(data)
  for (let i = 0; i < 8; i++) writeFileSync(join(data, `file-${i}`), randomBytes(300_000))
  world.start(data)
  world.ok("admin", "backup")
  one = disk("ext4", 64)
  two = disk("xfs", 320)
})

after(() => {
  world.end()
})

/** What rsync would change in a restored tree. */
function differences(restored: string): string {
  const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${restored}/`]
  return spawnSync("rsync", args, { encoding: "utf8" }).stdout
}

test("two disks are prepared and brought up to date, and each says what it did", () => {
  const said = world.ok("oscar", "media", "init", one.path, "--label", "Disk A", "--location", "bank vault")
  assert.match(said, /"Disk A" is prepared/)
  world.ok("oscar", "media", "init", two.path, "--label", "Disk B", "--location", "home safe", "--custodian", "Berta")
  for (const each of [one, two]) {
    const planned = world.ok("oscar", "media", "sync", each.path, "--dry-run")
    assert.match(planned, /^docs@\S+ {2}[0-9]+ objects of /m)
    assert.match(world.ok("oscar", "media", "sync", each.path), /copied [0-9]+ objects of .*, read back and compared/)
    assert.equal(world.ok("oscar", "media", "sync", each.path, "--dry-run"), "")
  }
  for (const name of world.objects("media/"))
    assert.doesNotMatch(readFileSync(join(world.archive, name), "latin1"), /vault|safe|Berta|Disk/)
})

test("everything restores from one disk, with the archive gone and the disk read-only", () => {
  const elsewhere = world.file("elsewhere")
  renameSync(world.archive, elsewhere)
  try {
    one.unmount()
    one.mount("ro")
    const from = ["--archive", one.path]
    const [request, release] = [world.file("disk.request"), world.file("disk.release")]
    world.ok("oscar", "request", "docs@latest", "--reason", "a test", "--out", request, ...from)
    world.ok("alice", "keyholder", "approve", request, "--out", release, "--yes")
    const target = world.file("from-disk")
    world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", target, "--verify", ...from)
    assert.equal(differences(target), "")
    world.ok("oscar", "verify", ...from)
    // So it does by hand, with the holder's key and stock tools.
    const byHand = world.file("by-hand")
    const [run = ""] = readdirSync(join(one.path, "backup/docs"))
    const env = { ...process.env, GNUPGHOME: world.file("alice") }
    const admin = ["--admin", world.fingerprints.get("admin") ?? ""]
    const recovered = spawnSync("sh", [join(one.path, "recover.sh"), ...admin, "docs", run, byHand], {
      ...{ env, encoding: "utf8", cwd: one.path },
    })
    assert.equal(recovered.status, 0, recovered.stderr)
    assert.equal(differences(byHand), "")
  } finally {
    renameSync(elsewhere, world.archive)
    one.unmount()
    one.mount()
  }
})

test("a disk that lags behind is no rollback, and an older state of it is one", () => {
  writeFileSync(join(data, "new"), randomBytes(100_000))
  world.ok("admin", "backup")
  world.ok("oscar", "media", "sync", two.path)
  // This machine has seen more than the first disk has.
  world.ok("oscar", "verify")
  world.ok("oscar", "verify", "--archive", one.path)
  world.ok("oscar", "verify", "--archive", two.path)
  const [, last = ""] = world.runs()
  const gone = join(two.path, "backup/docs", last)
  const taken = join(two.path, ".taken")
  renameSync(gone, taken)
  world.fails("oscar", exitCode.alarm, "verify", "--archive", two.path)
  renameSync(taken, gone)
  world.ok("oscar", "verify", "--archive", two.path)
})

test("a run that vanished is an alarm: nothing is copied and the disk is as it was", () => {
  const putBack = world.keep()
  const [first = ""] = world.runs()
  rmSync(join(world.archive, "backup/docs", first), { recursive: true })
  const before = spawnSync("find", [two.path, "-type", "f", "-printf", "%p %s %T@\n"], { encoding: "utf8" }).stdout
  const said = world.fails("oscar", exitCode.alarm, "media", "sync", two.path)
  assert.match(said, new RegExp(`backup/docs/${first}/: vanished, and no expiry list names it`))
  assert.match(said, /unplug the disk/)
  const now = spawnSync("find", [two.path, "-type", "f", "-printf", "%p %s %T@\n"], { encoding: "utf8" }).stdout
  assert.equal(now, before)
  putBack()
  world.ok("oscar", "media", "sync", two.path)
})
