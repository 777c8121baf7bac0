// Two backups of one source: on one machine the second is refused while the first runs, and never longer; on two machines
// both commit, and the next one joins what they made.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { exitCode, isFault, processMark, type Receipt } from "@backup-cloud/format"
import { takeLock } from "../../backup-cloud/src/lock.ts"
import { noise } from "../../store/test/helpers.ts"
import { type Started, World } from "./world.ts"

const world = new World()
const data = world.file("data")
const lock = world.file("admin/backup-cloud/sources/docs/running")
const now = new Date("2026-11-24T08:00:00Z")

before(() => {
  mkdirSync(data)
  for (let i = 0; i < 20; i++) writeFileSync(join(data, String(i)), noise(200_000 + i))
  world.start(data)
})
after(() => {
  world.end()
})

/** Waits for what the process does; the test runner's own limit ends the wait. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await sleep(5)
}

/** Starts a backup and stops it, without ending it, once `done` says so. */
async function halted(who: string, done: () => boolean): Promise<Started> {
  const started = world.spawn(who, "backup")
  await until(done)
  started.child.kill("SIGSTOP")
  return started
}

async function goesOn({ child, ended }: Started): Promise<void> {
  child.kill("SIGCONT")
  const { status, stderr } = await ended
  assert.equal(status, 0, stderr)
}

test("a second backup of a source on the same machine is refused while the first runs", async () => {
  const first = await halted("admin", () => existsSync(lock))
  const refused = world.as("admin", "backup")
  assert.equal(refused.status, exitCode.conflict, refused.stderr)
  const words = `backup-cloud: a backup of docs is running since [0-9TZ:-]+ as process ${first.child.pid}; nothing was backed up\n`
  assert.match(refused.stderr, new RegExp(`^${words}`))
  await goesOn(first)
  assert.equal(existsSync(lock), false)
  world.ok("admin", "backup")
  assert.equal(world.runs().length, 2)
})

test("the lock of a process that was killed is taken over", async () => {
  const first = await halted("admin", () => existsSync(lock))
  first.child.kill("SIGKILL")
  await first.ended
  assert.ok(existsSync(lock))
  world.ok("admin", "backup")
  assert.equal(existsSync(lock), false)
})

test("a lock holds for as long as its process runs, whatever else it says", async () => {
  const mark = (await processMark()) ?? ""
  const [pid = "", started = "", namespace = "", boot = ""] = mark.split(" ")
  const write = (text: string): void => {
    writeFileSync(lock, `${text}\n2026-11-24T08:00:00Z\n`)
  }
  write(mark)
  const refused = world.as("admin", "backup")
  assert.equal(refused.status, exitCode.conflict, refused.stderr)
  assert.ok(refused.stderr.includes(`since 2026-11-24T08:00:00Z as process ${process.pid};`), refused.stderr)
  const stale = {
    "a process that has this id now, and began at another time": [pid, `${started}0`, namespace, boot].join(" "),
    "a process of before the machine was started again": [pid, started, namespace, boot.replaceAll(/./g, "0")].join(
      " ",
    ),
    "what is no mark": "pid 1",
    "nothing at all": "",
  }
  for (const [what, text] of Object.entries(stale)) {
    write(text)
    const { status, stderr } = world.as("admin", "backup")
    assert.equal(status, 0, `${what}: ${stderr}`)
    assert.equal(existsSync(lock), false, what)
  }
})

test("of two that take over a stale lock at once, one gets it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bc-lock-"))
  const file = join(folder, "running")
  for (let i = 0; i < 100; i++) {
    writeFileSync(file, "of nobody\n")
    const taken = await Promise.allSettled([1, 2].map(() => takeLock(file, "a test", now)))
    const got = taken.filter((each) => each.status === "fulfilled")
    assert.equal(got.length, 1)
    for (const each of taken) if (each.status === "rejected") assert.ok(isFault(each.reason, "conflict"))
    await got[0]?.value[Symbol.asyncDispose]()
    assert.deepEqual(readdirSync(folder), [])
  }
  rmSync(folder, { recursive: true })
})

test("two machines with the keys of one source back up at once: both commit, and the next run joins them", async () => {
  mkdirSync(world.file("twin"), { mode: 0o700 })
  for (const part of ["backup-cloud", "backup-cloud.yaml"])
    cpSync(world.file(`admin/${part}`), world.file(`twin/${part}`), { recursive: true })
  for (const name of ["one", "two"]) writeFileSync(join(data, name), noise(100_000))
  const before = world.runs()
  const isNew = (name: string): boolean => name.endsWith("key.gpg") && !before.some((run) => name.includes(run))
  const first = await halted("admin", () => world.objects("backup/").some(isNew))
  world.ok("twin", "backup")
  await goesOn(first)
  const both = world.runs().filter((run) => !before.includes(run))
  assert.equal(both.length, 2)
  world.ok("admin", "verify")

  writeFileSync(join(data, "three"), noise(100_001))
  world.ok("admin", "backup")
  world.ok("twin", "verify")
  const joined = world.runs().at(-1) ?? ""
  const receipt = readFileSync(join(world.archive, "backup/docs", joined, "receipt-0001.json"), "utf8")
  const { previous } = JSON.parse(receipt) as Receipt
  assert.deepEqual(previous.map((line) => line.split(" ")[0]).sort(), both.sort())
  const release = world.release("docs@latest", "release")
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", world.file("restored"))
  const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${world.file("restored")}/`]
  assert.equal(execFileSync("rsync", args, { encoding: "utf8" }), "")
  assert.equal(spawnSync("cmp", [join(data, "three"), world.file("restored/three")]).status, 0)
})
