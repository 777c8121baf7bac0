// Large trees and large files, as far as a test can: what did not change is not stored again, whatever its number or size.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createCipheriv } from "node:crypto"
import { appendFileSync, closeSync, mkdirSync, openSync, rmSync, statSync, writeSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { World } from "./world.ts"

const MiB = 1_048_576
const FILES = 100_000
const LARGE = 1_024 * MiB

let world = new World()
let data = ""
beforeEach(() => {
  world = new World()
  data = world.file("data")
  mkdirSync(data)
})
afterEach(() => {
  world.end()
})

/** Bytes of all objects that the command stored, of the state as well. */
function stored(...command: string[]): number {
  const before = new Set(world.objects())
  world.ok("admin", ...command)
  const fresh = world.objects().filter((name) => !before.has(name))
  assert.ok(fresh.some((name) => name.endsWith(".sig")) && fresh.some((name) => name.startsWith("state/")))
  return fresh.reduce((sum, name) => sum + statSync(join(world.archive, name)).size, 0)
}

test(`of ${FILES} files that did not change nothing is stored again`, () => {
  for (let i = 0; i < FILES; i++) {
    const folder = join(data, String(Math.floor(i / 1_000)))
    if (i % 1_000 === 0) mkdirSync(folder)
    appendFileSync(join(folder, `file-${i}`), `content of ${i}`)
  }
  world.start(data)
  const first = stored("backup")
  assert.ok(first > 4 * MiB, `${first} bytes`)
  const second = stored("backup")
  assert.ok(second < MiB, `${second} bytes`)

  appendFileSync(join(data, "50", "file-50500"), ", and more")
  const third = stored("backup")
  assert.ok(third > second && third < 2 * MiB, `${third} bytes`)
  assert.equal(restored("50/file-50500"), "content of 50500, and more")
  assert.equal(restored("99/file-99999"), "content of 99999")
})

function restored(path: string): string {
  const release = world.release("docs@latest", `release-${path.replaceAll("/", "-")}`)
  return world.ok("oscar", "cat", "docs@latest", path, "--release", release)
}

/** A file of bytes that look random and are the same each time, after `before`. */
function writeLarge(path: string, before: string): void {
  rmSync(path, { force: true })
  const stream = createCipheriv("aes-256-ctr", Buffer.alloc(32, 1), Buffer.alloc(16))
  const zeros = Buffer.alloc(8 * MiB)
  const fd = openSync(path, "wx")
  writeSync(fd, before)
  for (let at = 0; at < LARGE; at += zeros.length) writeSync(fd, stream.update(zeros))
  closeSync(fd)
}

test("of a large file with a byte before its start, little is stored again", () => {
  const file = join(data, "large")
  writeLarge(file, "")
  world.start(data)
  const first = stored("backup")
  assert.ok(first > LARGE, `${first} bytes`)
  writeLarge(file, "x")
  const second = stored("backup")
  assert.ok(second < 16 * MiB, `${second} bytes`)

  const target = world.file("restored")
  const release = world.release("docs@latest", "release")
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", target)
  assert.equal(spawnSync("cmp", [file, join(target, "large")]).status, 0)
})
