// Disks for tests: files with real file systems, mounted over loop devices. That needs root, and `mkfs` and `mount`; where
// they are missing, the tests fail and say so.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"

const places: string[] = []
const mounted = new Set<string>()

after(() => {
  for (const path of mounted) spawnSync("umount", ["--lazy", path])
  for (const place of places) rmSync(place, { recursive: true, force: true })
})

export function place(): string {
  const made = mkdtempSync(join(tmpdir(), "bcm-"))
  places.push(made)
  return made
}

/** Runs a program that must succeed; what it said. @param apt Debian package that brings it */
function must(apt: string, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" })
  assert.equal(error, undefined, `this test needs ${program}: apt-get install ${apt}`)
  assert.equal(status, 0, `${program} ${args.join(" ")} (it needs root): ${stdout}${stderr}`)
  return stdout
}

export interface LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  /** The file that it lies in. */
  readonly image: string
  mount(...options: readonly string[]): void
  unmount(): void
}

/** A new disk, mounted. @param size in MiB: xfs takes 300 and more */
export function disk(type: "ext4" | "xfs", size: number): LoopDisk {
  const folder = place()
  const image = join(folder, "image")
  const path = join(folder, "disk")
  mkdirSync(path)
  writeFileSync(image, "")
  truncateSync(image, size * 1_048_576)
  if (type === "xfs") must("xfsprogs", "mkfs.xfs", "-q", image)
  else must("e2fsprogs", "mkfs.ext4", "-q", "-m", "0", image)
  const made: LoopDisk = {
    path,
    image,
    mount(...options) {
      must("mount", "mount", "-o", ["loop", ...options].join(","), image, path)
      mounted.add(path)
    },
    unmount() {
      must("mount", "umount", path)
      mounted.delete(path)
    },
  }
  made.mount()
  return made
}
