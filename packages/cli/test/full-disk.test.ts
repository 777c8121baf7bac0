// No space left: where the archive is, where a restore goes, where temporary files go. Each on a real file system that is
// too small, and each goes on once there is room.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { World } from "./world.ts"

const MiB = 1_048_576
const mounted: string[] = []
const worlds: World[] = []

after(() => {
  for (const path of mounted) spawnSync("umount", [path])
  for (const world of worlds) world.end()
})

function mount(path: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync("mount", [...args, path], { encoding: "utf8" })
  assert.equal(status, 0, `this test needs the right to mount a small file system, as root has it: ${stderr}`)
}

/** Mounts a file system of this size on a new directory. */
function small(path: string, size: number): void {
  mkdirSync(path)
  mount(path, "-t", "tmpfs", "-o", `size=${size}`, "tmpfs")
  mounted.push(path)
}

function enlarge(path: string, size: number): void {
  mount(path, "-o", `remount,size=${size}`)
}

function write(folder: string, count: number, size: number): void {
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < count; i++) writeFileSync(join(folder, `file-${i}`), randomBytes(size))
}

function makeWorld(): { world: World; data: string } {
  const world = new World()
  worlds.push(world)
  return { world, data: world.file("data") }
}

/** What rsync would change in a restored tree. */
function differences(data: string, restored: string): string {
  const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${restored}/`]
  return spawnSync("rsync", args, { encoding: "utf8" }).stdout
}

function restoresWhole(world: World, data: string): void {
  const target = world.file("restored")
  const release = world.release("docs@latest", "whole")
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", target, "--verify")
  assert.equal(differences(data, target), "")
}

test("where the archive is: the backup fails and says so, and the archive stays whole", () => {
  const { world, data } = makeWorld()
  small(world.archive, 16 * MiB)
  write(join(data, "first"), 10, 100_000)
  world.start(data)
  world.ok("admin", "backup")
  write(join(data, "second"), 10, 3 * MiB)

  const ended = world.as("admin", "backup")
  assert.equal(ended.status, exitCode.unavailable, ended.stderr)
  assert.match(
    ended.stderr,
    /backup\/docs\/\S+\/volume-00000001\.tar\.zst\.gpg: .*\(ENOSPC\); run \S+ was not committed\n.*free some space/,
  )
  world.ok("admin", "verify")
  assert.equal(world.runs().length, 1)
  assert.deepEqual(readdirSync(join(world.archive, ".incoming")), [], "no half object is left to fill the disk")

  enlarge(world.archive, 100 * MiB)
  world.ok("admin", "backup")
  world.ok("admin", "verify")
  restoresWhole(world, data)
})

test("where a restore goes: it fails and says so, and goes on once there is room", () => {
  const { world, data } = makeWorld()
  write(data, 10, MiB)
  world.start(data)
  world.ok("admin", "backup")
  const disk = world.file("disk")
  const target = join(disk, "restored")
  small(disk, 5 * MiB)
  const release = world.release("docs@latest", "release")
  const restore = ["restore", "docs@latest", "--release", release, "--to", target]
  const { status, stderr } = world.as("oscar", ...restore)
  assert.equal(status, exitCode.unavailable, stderr)
  const [, failed = ""] =
    /(file-[0-9]): cannot be written \(ENOSPC\); it was not restored\n.*make room/.exec(stderr) ?? []
  assert.ok(failed !== "", stderr)
  assert.equal(existsSync(join(target, failed)), false)
  const there = readdirSync(target).filter((name) => name.startsWith("file-"))
  assert.ok(there.length > 0 && there.length < 10, there.join(" "))
  for (const name of there) assert.equal(spawnSync("cmp", [join(data, name), join(target, name)]).status, 0, name)

  enlarge(disk, 100 * MiB)
  world.ok("oscar", ...restore, "--verify")
  assert.equal(differences(data, target), "")
})

test("where temporary files go: nothing is backed up, and the message says where", () => {
  const { world, data } = makeWorld()
  write(data, 1, 1_000)
  world.start(data)
  const disk = world.file("disk")
  small(disk, MiB)
  spawnSync("dd", ["if=/dev/zero", `of=${join(disk, "fill")}`, "bs=4096"])
  const run = (): { status: number | null; said: string } => {
    const before = tmpdir()
    process.env["TMPDIR"] = disk
    const { status, stdout, stderr } = world.as("admin", "backup")
    process.env["TMPDIR"] = before
    return { status, said: stdout + stderr }
  }
  const full = run()
  assert.equal(full.status, exitCode.unavailable, full.said)
  assert.match(full.said, /disk: no temporary GnuPG home could be made \(ENOSPC\).*\n.*TMPDIR/)
  assert.deepEqual(world.objects("backup/"), [])
  enlarge(disk, 2 * MiB)
  const roomy = run()
  assert.equal(roomy.status, 0, roomy.said)
  world.ok("admin", "verify")
})
