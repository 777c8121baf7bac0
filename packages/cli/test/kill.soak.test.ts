// A hundred times the real process is killed at a random moment of a backup, with the programs it had started or alone.
// After each time the archive verifies; in the end a backup and a restore give the tree again, and nothing is left over.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes, randomInt } from "node:crypto"
import { once } from "node:events"
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { directoryStore } from "@backup-cloud/store"
import { parse, stringify } from "yaml"
import { collect } from "../../store/test/helpers.ts"
import { within } from "./within.ts"
import { World } from "./world.ts"

const BATCHES = 4
const KILLS = 25
const SMALL = 2_000
const LARGE = 3
/** Changed before each run, so that each has as much to do as the one that was measured. */
const CHANGED = { small: 400, large: 1 }
const CHECKPOINT_MINUTES = 0.005

const world = new World()
const data = world.file("data")
const temporary = world.file("tmp")
/** What each of them remembers of the archive. */
const homes = ["admin", "oscar", "alice"].map((name) => world.file(`${name}/backup-cloud`))
/** Milliseconds of a run that is left alone: until it begins to write, and from then to its end. */
const typical = { begin: 0, rest: 0 }

before(async () => {
  for (let i = 0; i < SMALL; i++) changeSmall(i)
  for (let i = 0; i < LARGE; i++) changeLarge(i)
  world.start(data)
  mkdirSync(temporary)
  process.env["TMPDIR"] = temporary
  const file = world.file("admin/backup-cloud.yaml")
  const config = parse(readFileSync(file, "utf8")) as { sources: { docs: Record<string, unknown> } }
  config.sources.docs["checkpoint_minutes"] = CHECKPOINT_MINUTES
  writeFileSync(file, stringify(config))
  world.ok("admin", "backup")
  changeSome()
  const start = performance.now()
  const { child, ended } = world.spawn("admin", "backup", "--json")
  assert.ok(child.stdout)
  await once(child.stdout, "data")
  typical.begin = performance.now() - start
  assert.equal((await ended).status, 0)
  typical.rest = performance.now() - start - typical.begin
})
after(() => {
  for (const [pid] of agents()) process.kill(pid, "SIGKILL")
  world.end()
})

function changeSmall(i: number): void {
  const folder = join(data, String(i % 50))
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, String(i)), randomBytes(2_000 + i))
}

function changeLarge(i: number): void {
  writeFileSync(join(data, `large-${i}`), randomBytes(5_000_000))
}

function changeSome(): void {
  for (let i = 0; i < CHANGED.small; i++) changeSmall(randomInt(SMALL))
  for (let i = 0; i < CHANGED.large; i++) changeLarge(randomInt(LARGE))
}

/** The process ids below one, as the kernel has them now. */
function childrenOf(pid: number): number[] {
  const children: number[] = []
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const line = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim()
      for (const child of line === "" ? [] : line.split(" ").map(Number)) children.push(child, ...childrenOf(child))
    }
  } catch {
    // It has ended.
  }
  return children
}

/** Agents of GnuPG homes in the temporary folder, by process id. */
function agents(): [number, string][] {
  return readdirSync("/proc").flatMap((pid): [number, string][] => {
    if (!/^[0-9]+$/.test(pid)) return []
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")
      return line.includes(`--homedir ${temporary}/`) ? [[Number(pid), line]] : []
    } catch {
      return []
    }
  })
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL")
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error
  }
}

/** Whether a process ends soon. */
async function ends(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    try {
      // One that nobody waited for has ended as well.
      if (/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))) return true
    } catch {
      return true
    }
    await sleep(25)
  }
  return false
}

/** Starts a backup and kills it at a random moment; says how far it had come. */
async function killOne(all: boolean): Promise<"before" | "within" | "not"> {
  const { child, ended } = world.spawn("admin", "backup", "--json")
  const pid = child.pid ?? 0
  const early = randomInt(8) === 0
  const begun = once(child.stdout ?? child, "data")
  if (!early) await begun
  await sleep(Math.random() * (early ? typical.begin : 1.1 * typical.rest))
  // Stopped first, so that no program is started between looking and killing.
  const before = child.exitCode
  if (before === null) process.kill(-pid, "SIGSTOP")
  const below = childrenOf(pid)
  if (before === null) process.kill(-pid, "SIGKILL")
  if (all) below.forEach(kill)
  const { status, stderr } = await ended
  // What it had started ends by itself; only agents are meant to go on.
  for (const one of below) assert.ok(await ends(one), `process ${one} outlives the one that started it`)
  if (status === null) return early ? "before" : "within"
  assert.equal(status, 0, stderr)
  return "not"
}

function differences(restored: string): string {
  const args = ["-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${restored}/`]
  return spawnSync("rsync", args, { encoding: "utf8" }).stdout
}

const homesLeft = (): string[] => readdirSync(temporary).filter((name) => name.startsWith("bc-"))

for (let batch = 1; batch <= BATCHES; batch++) {
  test(`killed ${KILLS} times, batch ${batch}`, async () => {
    const putBack = world.keep()
    for (const home of homes) cpSync(home, `${home}.kept`, { recursive: true })
    let died = 0
    for (let i = 0; i < KILLS; i++) {
      changeSome()
      if ((await killOne(i % 2 === 0)) === "within") died++
      const verified = await within(world, "admin", "verify")
      assert.equal(verified.status, 0, `${verified.stdout}${verified.stderr}`)
      assert.ok(homesLeft().length <= 2, `the homes of one process at most: ${homesLeft().join(" ")}`)
    }
    assert.ok(died > KILLS / 3, `only ${died} of ${KILLS} died while they wrote`)
    await wholeAgain(batch)
    // The next batch starts from a small archive again, or verifying would take most of the time.
    putBack()
    for (const home of homes) {
      rmSync(home, { recursive: true })
      renameSync(`${home}.kept`, home)
    }
  })
}

async function wholeAgain(batch: number): Promise<void> {
  const incoming = join(world.archive, ".incoming")
  // One that a crash left, and that is old enough to be swept; it bears the name of an object.
  mkdirSync(incoming, { recursive: true })
  const left = join(incoming, "volume-00000001.tar.zst.gpg")
  const old = new Date(Date.now() - 2 * 86_400_000)
  writeFileSync(left, "half a volume")
  utimesSync(left, old, old)
  const stored = await collect(directoryStore(world.archive).list("", new AbortController().signal))
  assert.deepEqual(
    stored.map(({ name }) => name),
    world.objects(),
  )

  assert.match(world.ok("admin", "runs", "docs"), / checkpoint /, "no run was killed after a checkpoint")
  world.ok("admin", "backup")
  const target = world.file(`restored-${batch}`)
  const release = world.release("docs@latest", `release-${batch}`)
  world.ok("oscar", "restore", "docs@latest", "--release", release, "--to", target, "--verify")
  assert.equal(differences(target), "")
  writeFileSync(join(target, "large-0"), "x")
  assert.match(differences(target), /large-0/)
  rmSync(target, { recursive: true })

  assert.equal(existsSync(left), false)
  assert.deepEqual(homesLeft(), [])
  for (let tries = 0; agents().length > 0 && tries < 200; tries++) await sleep(25)
  assert.deepEqual(agents(), [])
}
