// The page docs/restore-day.md: each of its blocks is run by the person it is for, as it stands there, in an order in which the
// day before comes first. Copies of the archive stand for disks; the first one is damaged, and the archive itself is gone.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { names } from "@backup-cloud/format"
import { writeIdentity } from "./disk.ts"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

const root = join(import.meta.dirname, "../../..")
const page = readFileSync(join(root, "docs/restore-day.md"), "utf8")
const [theDay = "", before_ = ""] = page.split("## Before the day")
const blocksOf = (text: string) =>
  [...text.matchAll(/^```sh (\w+)\n(.*?)^```$/gms)].map(([, who = "", commands = ""]) => ({ who, commands }))

const world = new World()
const data = world.file("data")
const bin = world.file("bin")
const people: Readonly<Record<string, string>> = {
  ...{ administrator: "admin", operator: "oscar", holder: "alice", verifier: "verifier" },
}
let runs: readonly string[] = []
const disk = (letter: string): string => world.file(`disk-${letter}`)

before(() => {
  mkdirSync(join(data, "files"), { recursive: true })
  mkdirSync(bin)
  writeFileSync(join(data, "start"), "#!/bin/sh\ntest -s files/letter && echo the service runs\n", { mode: 0o755 })
  writeFileSync(join(data, "files", "letter"), "Dear all,\n".repeat(1_000))
  world.start(data)
  world.ok("admin", "backup")
  world.person("verifier")
  const program = join(root, "packages/cli/bin/backup-cloud.js")
  writeFileSync(join(bin, "backup-cloud"), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, { mode: 0o755 })
})
after(() => {
  world.end()
})

/** Runs a block; what it said. @param archive that the machine knows by itself; none on the day */
function shell({ who, commands }: { who: string; commands: string }, archive: string | null): string {
  const { env, cwd } = of(world, people[who] ?? assert.fail(who), {
    ...fromSources,
    ...{ DISK_A: disk("a"), DISK_B: disk("b"), ADMIN: world.fingerprints.get("admin") ?? "", SOURCE: "docs" },
    ...(archive === null ? {} : { BACKUP_CLOUD_ARCHIVE: archive }),
  })
  const path = `${bin}:${env["PATH"] ?? ""}`
  const done = spawnSync("/bin/sh", ["-euc", commands], { cwd, encoding: "utf8", env: { ...env, PATH: path } })
  assert.equal(done.status, 0, `${who}: ${commands}\n${done.stdout}${done.stderr}`)
  return done.stdout + done.stderr
}

test("no block of the page is passed over", () => {
  const found = [...blocksOf(theDay), ...blocksOf(before_)].length
  assert.equal(found, [...page.matchAll(/^```(?!text$)\S/gm)].length)
  assert.ok(found >= 15)
})

test("before the day: drills with a release and with a verifier's key", () => {
  const blocks = blocksOf(before_)
  const [last] = blocks.slice(-1)
  for (const block of blocks.slice(0, -1)) {
    const said = shell(block, world.archive)
    if (/drill .*--check/.test(block.commands)) assert.match(said, /checks: files passed, owner passed/)
  }
  writeFileSync(join(data, "files", "new"), "written on the last day\n")
  world.ok("admin", "backup")
  runs = world.runs()
  for (const letter of ["a", "b"]) {
    cpSync(world.archive, disk(letter), { recursive: true, preserveTimestamps: true })
    writeIdentity(disk(letter), world.archive, letter.repeat(32))
  }
  assert.match(shell(last ?? assert.fail(), null), /docs@\S+: passed/)
  world.ok("admin", "status")
})

test("the day: from two disks, of which one is damaged, to a service that runs", () => {
  rmSync(world.archive, { recursive: true })
  // What the run before the last stored is damaged on the first disk; the last one needs it.
  const [, before = ""] = runs
  const first = join(disk("a"), "backup/docs", before, names.volume(1))
  const volume = readFileSync(first)
  volume[volume.length >> 1] = (volume[volume.length >> 1] ?? 0) ^ 1
  writeFileSync(first, volume)
  // A laptop that has seen nothing.
  rmSync(join(world.file("oscar"), "backup-cloud"), { recursive: true })
  const said = blocksOf(theDay).map((block) => shell(block, null))
  assert.match(said.join("\n"), new RegExp(`^docs@${runs[0] ?? ""} +passed`, "m"))
  assert.match(said.join("\n"), /is not what the source signed/)
  assert.match(said.join("\n"), /LOST files\/letter/)
  assert.match(said.at(-1) ?? "", /the service runs/)
  assert.deepEqual(readdirSync(join(world.file("part"), "files")), ["new"])
  execFileSync("diff", ["-r", data, world.file("whole")])
  execFileSync("diff", ["-r", data, world.file("by-hand")])
})
