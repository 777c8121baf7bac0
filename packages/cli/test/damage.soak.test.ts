// Every object of an archive, damaged in every simple way: verify names it and says so by its exit code, and a restore
// writes no byte of it.

import assert from "node:assert/strict"
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { basename, dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { backupInSteps } from "./forge.ts"
import { of, run } from "./run.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
const contents: Readonly<Record<string, string>> = { a: "first", b: "second" }
let runs: readonly string[] = []
let release = ""
let mend: () => void

before(async () => {
  mkdirSync(data)
  writeFileSync(join(data, "a"), "first")
  world.start(data)
  world.ok("admin", "backup")
  writeFileSync(join(data, "b"), "second")
  const { number } = await backupInSteps(world, data)
  assert.equal(number, 2, "a checkpoint, then the whole")
  runs = world.runs()
  // From here on both know what was there.
  world.ok("admin", "verify")
  release = world.release("docs@latest", "release")
  mend = world.keep()
})
after(() => {
  world.end()
})

const flip = (file: string): void => {
  const bytes = readFileSync(file)
  const middle = bytes.length >> 1
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  writeFileSync(file, bytes)
}

/** What is done to the file of an object; `other` is the file of another. */
const damages: Readonly<Record<string, (file: string, other: string) => void>> = {
  "a byte appended": (file) => {
    appendFileSync(file, "\n")
  },
  "a byte removed": (file) => {
    truncateSync(file, readFileSync(file).length - 1)
  },
  "a byte flipped": flip,
  removed: (file) => {
    rmSync(file)
  },
  renamed: (file) => {
    renameSync(file, `${file}x`)
  },
  swapped: (file, other) => {
    const bytes = readFileSync(file)
    writeFileSync(file, readFileSync(other))
    writeFileSync(other, bytes)
  },
}
const gone = ["removed", "renamed"]

/** What verify must end with, by the gravest fault. An object that this machine saw last, and that is no more, is an alarm. */
function expected(name: string, what: string): number {
  if (name === "archive.json") {
    if (gone.includes(what)) return exitCode["not-found"]
    // The middle of this file is in the archive's id: another id is an alarm, but some flipped digits are none.
    const bytes = readFileSync(join(world.archive, name), "latin1")
    const stillAnId = /[0-9b-e]/.test(bytes[bytes.length >> 1] ?? "")
    return what === "a byte flipped" && stillAnId ? exitCode.alarm : exitCode.tampered
  }
  // With a byte too many or too few behind its end it still is the certificate that was pinned.
  if (name.startsWith("config/admin/"))
    return ["a byte appended", "a byte removed"].includes(what) ? exitCode.tampered : exitCode.refused
  const isHead = name.startsWith(`backup/docs/${runs.at(-1) ?? "?"}/`) && /\/(?:receipt|SHA256SUMS)-/.test(name)
  const isLast = isHead || name.startsWith("config/policy-000002") || name.startsWith("config/sources/")
  return isLast ? exitCode.alarm : exitCode.tampered
}

/** Whether `said` names the object, or of a file and its signature, which disagree, the other. */
function isNamed(said: string, name: string, what: string): boolean {
  const [folder, base] = [dirname(name), basename(name).replace(/(?:\.[0-9A-F]{40})?\.sig$/, "")]
  // A run without its signature is no run: then its folder is named, because this machine or a later run missed it.
  const named = said.includes(base) || (gone.includes(what) && name.endsWith(".sig"))
  return said.includes(folder === "." ? base : folder) && named
}

/** Every regular file below a folder, by its path. */
function filesIn(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {}
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
  return Object.fromEntries(
    entries.map((each) => {
      const file = join(each.parentPath, each.name)
      return [file.slice(folder.length + 1), readFileSync(file, "utf8")]
    }),
  )
}

for (const [what, damage] of Object.entries(damages))
  test(`${what}: verify names every object, and a restore writes nothing of it`, async () => {
    const objects = world.objects().filter((name) => !name.startsWith("state/"))
    assert.ok(objects.length >= 24, objects.join(" "))
    let stopped = 0
    for (const [index, name] of objects.entries()) {
      const other = objects[(index + 1) % objects.length] ?? ""
      damage(join(world.archive, name), join(world.archive, other))
      const to = world.file("restored")
      const [verified, restored] = await Promise.all([
        run(of(world, "admin"), "verify"),
        run(of(world, "oscar"), "restore", "docs@latest", "--release", release, "--to", to),
      ])
      mend()
      const said = verified.stdout + verified.stderr
      const codes = what === "swapped" ? [expected(name, what), expected(other, what)] : [expected(name, what)]
      assert.ok(codes.includes(verified.status ?? -1), `${name}: ended with ${verified.status ?? "a signal"}\n${said}`)
      const isEither = isNamed(said, name, what) || (what === "swapped" && isNamed(said, other, what))
      assert.ok(isEither, `${name}: not named in\n${said}`)
      const files = filesIn(to)
      rmSync(to, { recursive: true, force: true })
      if (restored.status === 0) {
        // Nothing of it was needed.
        assert.deepEqual(files, contents, name)
        continue
      }
      stopped++
      // What is whole may come back before the damage is met; what is damaged never does.
      for (const [path, text] of Object.entries(files)) assert.equal(text, contents[path], `${name}: ${path}`)
      assert.notDeepEqual(files, contents, `${name}: everything was restored, and yet it failed: ${restored.stderr}`)
      const faults = [exitCode["not-found"], exitCode.refused, exitCode.incomplete, exitCode.tampered, exitCode.alarm]
      assert.ok(faults.includes(restored.status ?? -1), `${name}: ${restored.status ?? "a signal"} ${restored.stderr}`)
    }
    assert.ok(stopped >= 14, `only ${stopped} of ${objects.length} stopped a restore`)
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
  // Of the first run by the chain: two ids of one second are in no order.
  const [older = ""] = world.objects(`backup/docs/${runs[0] ?? ""}/volume-`)
  flip(join(world.archive, older))
  const target = world.file("damaged")
  const restore = ["restore", "docs@latest", "--release", release, "--to"]
  const stopped = world.fails("oscar", 31, ...restore, target)
  assert.ok(stopped.includes(older), stopped)
  assert.equal(existsSync(join(target, "a")), false)
  const salvaged = world.file("salvaged")
  world.fails("oscar", 30, ...restore, salvaged, "--salvage")
  assert.deepEqual(filesIn(salvaged), { b: "second" })
  mend()
  world.ok("oscar", ...restore, world.file("whole"))
  assert.deepEqual(filesIn(world.file("whole")), contents)
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
