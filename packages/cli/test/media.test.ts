// Disks on the command line, on real file systems: an organisation with two of them, from the first sync to the day on which
// nothing is left but a disk.

import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { disk, type LoopDisk } from "../../media/test/disks.ts"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

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
  assert.match(said, /^ALARM {2}backup[^]*unplug the disk now/)
  const now = spawnSync("find", [two.path, "-type", "f", "-printf", "%p %s %T@\n"], { encoding: "utf8" }).stdout
  assert.equal(now, before)
  putBack()
  world.ok("oscar", "media", "sync", two.path)
})

test("status and plan: what is on how many disks, what the rules ask, what is to be plugged in next", () => {
  const rules = ["media", "rules", "--copies", "3", "--locations", "3", "--offline", "2", "--max-age", "35d"]
  assert.match(world.fails("oscar", exitCode.refused, ...rules), /no usable private key/)
  world.ok("admin", ...rules)
  assert.match(world.ok("oscar", "media", "status"), /"Disk A" \(bank vault\) {2}1 runs, lacks 1, .*\n.*"Disk B"/)
  const planned = world.ok("oscar", "media", "plan")
  assert.match(planned, /Plug in next: "Disk A" \(bank vault\), which lacks 1 runs\./)
  assert.match(planned, /Without "Disk B" \(home safe\): 1 runs would be on no disk\./)
  assert.match(planned, /Without the place home safe: 1 runs/)
  assert.match(planned, /Without the archive: 0 runs/)
  world.ok("oscar", "media", "sync", one.path)
  assert.match(world.ok("oscar", "media", "status"), /2 runs in the archive, 0 of them on no disk/)
  assert.match(world.ok("oscar", "media", "plan"), /Every disk is up to date/)
  // Somebody else has no names for places: only codes are in the archive.
  world.ok("bob", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  assert.match(world.ok("bob", "media", "status"), /the disk [0-9a-f]{8} \(place [0-9a-f]{8}\)/)
})

test("what ransomware destroyed: salvage brings the rest, plan names the disks, and with one of them all comes back", () => {
  const putBack = world.keep()
  const [, run = ""] = world.runs()
  const folder = join(world.archive, "backup/docs", run)
  writeFileSync(join(folder, "volume-00000001.tar.zst.gpg"), "your files are encrypted")
  const release = world.release("docs@latest", "attacked.release")
  const target = world.file("salvaged")
  const restore = ["restore", "docs@latest", "--release", release, "--to", target]
  const said = world.fails("oscar", exitCode.incomplete, ...restore, "--salvage")
  assert.match(said, /LOST new: /)
  assert.match(differences(target), /new/)
  assert.match(world.ok("oscar", "media", "plan", "docs@latest"), /"Disk B" \(home safe\) brings it back/)
  assert.match(world.fails("oscar", exitCode.alarm, "media", "sync", two.path), /volume-00000001\S+: has 24 bytes/)
  rmSync(target, { recursive: true })
  world.ok("oscar", ...restore, "--media", two.path, "--verify")
  assert.equal(differences(target), "")

  rmSync(join(world.archive, "backup"), { recursive: true })
  assert.match(
    world.fails("oscar", exitCode.alarm, "media", "status"),
    /VANISHED {2}docs@.*\nVANISHED {2}docs@.*\n[^]*2 runs vanished from the archive/,
  )
  assert.match(world.ok("oscar", "media", "plan"), new RegExp(`docs@${run} is gone from the archive: .*"Disk B"`))
  assert.match(world.ok("oscar", "media", "plan", `docs@${run}`), /"Disk B" \(home safe\) brings it back/)
  putBack()
  world.ok("oscar", "media", "status")
})

test("scrub: from a read-only mount only, without any key; what rotted is listed, repaired elsewhere and restored", () => {
  const rotten = disk("ext4", 64)
  world.ok("oscar", "media", "init", rotten.path, "--label", "Disk R", "--location", "desk", "--parity", "40")
  world.ok("oscar", "media", "sync", rotten.path)
  assert.match(world.fails("bob", exitCode.refused, "media", "scrub", rotten.path), /mount -o remount,ro/)
  assert.match(world.ok("bob", "media", "scrub", rotten.path, "--writable"), /all as signed/)
  const [, run = ""] = world.runs()
  const object = `backup/docs/${run}/volume-00000001.tar.zst.gpg`
  const file = join(rotten.path, object)
  const bytes = readFileSync(file)
  bytes[5_000] = (bytes[5_000] ?? 0) ^ 1
  writeFileSync(file, bytes)
  rotten.unmount()
  rotten.mount("ro")
  const mended = world.file("mended")
  const said = world.fails("bob", exitCode.tampered, "media", "scrub", rotten.path, "--repair-to", mended)
  assert.match(
    said,
    new RegExp(`TAMPERED {2}${object}: has other bytes than were signed\nREPAIRED {2}\\S+/${object}\n`),
  )
  const release = world.file("rotten.release")
  const [request, from] = [world.file("rotten.request"), ["--archive", rotten.path]]
  world.ok("oscar", "request", "docs@latest", "--reason", "a test", "--out", request, ...from)
  world.ok("alice", "keyholder", "approve", request, "--out", release, "--yes")
  const restore = ["restore", "docs@latest", "--release", release, ...from]
  world.fails("oscar", exitCode.tampered, ...restore, "--to", world.file("from-rotten"))
  const target = world.file("from-mended")
  world.ok("oscar", ...restore, "--to", target, "--verify", "--media", mended)
  assert.equal(differences(target), "")

  const recorded = world.fails("oscar", exitCode.tampered, "media", "scrub", rotten.path, "--record")
  assert.match(recorded, /stated in the archive/)
  assert.match(world.ok("oscar", "media", "plan", "docs@latest"), /"Disk R" \(desk\) has a part of it/)
  rotten.unmount()
  rotten.mount()
  assert.match(world.ok("oscar", "media", "sync", rotten.path), /copied 1 objects/)
  world.ok("oscar", "media", "scrub", rotten.path, "--writable")
  assert.match(world.ok("oscar", "media", "plan", "docs@latest"), /"Disk R" \(desk\) brings it back/)

  assert.match(world.fails("oscar", exitCode.usage, "media", "forget", "Disk R"), /give --yes/)
  world.ok("oscar", "media", "forget", "Disk R", "--destroyed", "--yes")
  assert.doesNotMatch(world.ok("oscar", "media", "status"), /Disk R/)
  assert.match(world.fails("oscar", exitCode.refused, "media", "sync", rotten.path), /was forgotten/)
})

/** Restores at a terminal; `mount` is called when something is asked, before the answer is typed. */
async function askedAtTerminal(
  args: readonly string[],
  mount: () => void,
): Promise<{ status: number | null; said: string }> {
  const { env, cwd } = of(world, "oscar", fromSources)
  const program = join(import.meta.dirname, "../bin/backup-cloud.js")
  const words = [process.execPath, program, ...args].map((word) => `'${word}'`).join(" ")
  const child = spawn("script", ["--quiet", "--return", "--flush", "--command", words, "/dev/null"], {
    ...{ cwd, env: { ...env, SHELL: "/bin/sh" }, stdio: ["pipe", "pipe", "ignore"] },
  })
  let said = ""
  let answered = false
  child.stdout.on("data", (piece: Buffer) => {
    said += piece.toString()
    if (answered || !said.includes("[y/N]")) return
    answered = true
    mount()
    child.stdin.write("y\n")
  })
  const [status] = (await once(child, "close")) as [number | null]
  return { status, said }
}

test("a run that is larger than a disk restores from two, and a disk that is not there is asked for by its label", async () => {
  const big = world.file("big")
  mkdirSync(big)
  for (let i = 0; i < 3; i++) writeFileSync(join(big, `large-${i}`), randomBytes(28_000_000))
  world.ok("admin", "source", "add", "big", `dir://${big}`)
  world.ok("admin", "backup", "big")
  const [a, b] = [disk("ext4", 84), disk("ext4", 84)]
  world.ok("oscar", "media", "init", a.path, "--label", "Set 1", "--location", "attic")
  assert.match(world.fails("oscar", exitCode.incomplete, "media", "sync", a.path), /media init DISK --set "Set 1"/)
  world.ok("oscar", "media", "init", b.path, "--label", "Set 2", "--location", "attic", "--set", "Set 1")
  world.ok("oscar", "media", "sync", b.path)
  const release = world.release("big@latest", "big.release")
  const elsewhere = world.file("elsewhere")
  renameSync(world.archive, elsewhere)
  try {
    const restore = ["restore", "big@latest", "--release", release, "--to", world.file("restored-big")]
    const alone = world.as("oscar", ...restore, "--archive", b.path)
    assert.equal(alone.status, exitCode.unavailable, alone.stderr)
    assert.match(alone.stderr, /is on none of the disks given; "Set 1" \(attic\) has it/)
    const differ = (): string => {
      const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${big}/`, `${world.file("restored-big")}/`]
      return spawnSync("rsync", args, { encoding: "utf8" }).stdout
    }
    world.fails("oscar", exitCode.incomplete, ...restore, "--archive", b.path, "--salvage")
    assert.notEqual(differ(), "")
    rmSync(world.file("restored-big"), { recursive: true })
    a.unmount()
    const asked = await askedAtTerminal([...restore, "--archive", b.path, "--media", a.path, "--verify"], () => {
      a.mount()
    })
    assert.match(asked.said, /is on "Set 1" \(attic\)\. Mount it/)
    assert.equal(asked.status, 0, asked.said)
    assert.equal(differ(), "")
    rmSync(world.file("restored-big"), { recursive: true })
    world.ok("oscar", ...restore, "--archive", b.path, "--media", a.path, "--verify")
    assert.equal(differ(), "")
  } finally {
    renameSync(elsewhere, world.archive)
  }
})

test("what must not come back is listed with the disks that still hold it", () => {
  world.ok("admin", "erase", "add", "big", "--path", "/large-1", "--reason", "a test", "--yes")
  const [run = ""] = world.runs("big")
  const said = world.ok("oscar", "erase", "list")
  const holds = `holds ${run}$`
  for (const label of ["Set 1", "Set 2"]) assert.match(said, new RegExp(`^ {2}"${label}" \\(attic\\) ${holds}`, "m"))
  assert.doesNotMatch(said, /Disk A/)
})
