// Every object of an archive, damaged in every simple way: verify names it and says so by its exit code, and a restore
// writes no byte of it.

import assert from "node:assert/strict"
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { basename, dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "a"), "first")
  world.start(data)
  world.ok("admin", "backup")
  writeFileSync(join(data, "b"), "second")
  world.ok("admin", "backup")
  world.ok("admin", "verify")
})
after(() => {
  world.end()
})

const damages: Readonly<Record<string, (file: string) => void>> = {
  "a byte appended": (file) => {
    appendFileSync(file, "\n")
  },
  "a byte removed": (file) => {
    truncateSync(file, readFileSync(file).length - 1)
  },
  "a byte flipped": (file) => {
    const bytes = readFileSync(file)
    const middle = bytes.length >> 1
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
    writeFileSync(file, bytes)
  },
  removed: (file) => {
    rmSync(file)
  },
}

/** Exit codes that say what is wrong with an archive. */
const telling = [10, 12, 13, 31, 50]

test("verify names every damaged object", () => {
  const objects = world.objects().filter((name) => !name.startsWith("state/"))
  assert.ok(objects.length >= 20, objects.join(" "))
  for (const name of objects) {
    const file = join(world.archive, name)
    const original = readFileSync(file)
    for (const [what, damage] of Object.entries(damages)) {
      damage(file)
      const { status, stdout, stderr } = world.as("admin", "verify")
      writeFileSync(file, original)
      assert.ok(
        telling.includes(status ?? -1),
        `${name}, ${what}: ended with ${status ?? "a signal"}\n${stdout}${stderr}`,
      )
      // Where a file and its signature disagree, either may be the one that changed, and one message names both. A run
      // without its signature is no run: then its folder is named, because a later run needs it.
      const [folder, base] = [dirname(name), basename(name).replace(/(?:\.[0-9A-F]{40})?\.sig$/, "")]
      const said = stdout + stderr
      const named = said.includes(base) || (what === "removed" && name.endsWith(".sig"))
      assert.ok(said.includes(folder === "." ? base : folder) && named, `${name}, ${what}: not named in\n${said}`)
    }
  }
  world.ok("admin", "verify")
})

test("two objects that changed places are both named", () => {
  const [one = "", two = ""] = world.objects("backup/").filter((name) => name.includes("/volume-"))
  const swap = (): void => {
    renameSync(join(world.archive, one), world.file("held"))
    renameSync(join(world.archive, two), join(world.archive, one))
    renameSync(world.file("held"), join(world.archive, two))
  }
  swap()
  const { status, stdout } = world.as("admin", "verify")
  swap()
  assert.equal(status, 31)
  for (const name of [one, two]) assert.ok(stdout.includes(name), stdout)
  world.ok("admin", "verify")
})

test("a restore stops at a damaged volume and writes nothing of it; salvage brings the rest", () => {
  const release = world.release("docs@latest", "release")
  const [older = ""] = world.objects("backup/").filter((name) => name.includes("/volume-"))
  const file = join(world.archive, older)
  const original = readFileSync(file)
  damages["a byte flipped"]?.(file)
  const target = world.file("damaged")
  const stopped = world.as("oscar", "restore", "docs@latest", "--release", release, "--to", target)
  assert.equal(stopped.status, 31, stopped.stderr)
  assert.ok(stopped.stderr.includes(older), stopped.stderr)
  assert.equal(existsSync(join(target, "a")), false)
  const salvaged = world.file("salvaged")
  const partly = world.as("oscar", "restore", "docs@latest", "--release", release, "--to", salvaged, "--salvage")
  assert.equal(partly.status, 30, partly.stderr)
  assert.equal(readFileSync(join(salvaged, "b"), "utf8"), "second")
  assert.equal(existsSync(join(salvaged, "a")), false)
  writeFileSync(file, original)
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", world.file("whole"))
  assert.equal(readFileSync(join(world.file("whole"), "a"), "utf8"), "first")
})

test("a run that was there is missed by every home that saw it", () => {
  world.ok("admin", "verify")
  const last = world.runs().at(-1) ?? ""
  const folder = join(world.archive, "backup/docs", last)
  renameSync(folder, world.file("hidden"))
  const { status, stdout, stderr } = world.as("admin", "verify")
  renameSync(world.file("hidden"), folder)
  assert.equal(status, 50, stdout + stderr)
  assert.ok((stdout + stderr).includes(last))
  world.ok("admin", "verify")
})

test("an older policy put back is an alarm", () => {
  const hidden = world.objects("config/policy-000002")
  assert.ok(hidden.length >= 2)
  for (const [i, name] of hidden.entries()) renameSync(join(world.archive, name), world.file(`policy-${i}`))
  const { status, stderr } = world.as("admin", "verify")
  for (const [i, name] of hidden.entries()) renameSync(world.file(`policy-${i}`), join(world.archive, name))
  assert.equal(status, 50, stderr)
  world.ok("admin", "verify")
})
