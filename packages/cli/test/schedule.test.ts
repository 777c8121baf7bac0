// Timers that `schedule` prints: a person can paste them, systemd and cron take them as they are, and what they start backs
// up, with nothing in the environment but what systemd and cron give, whatever the places are called.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { isAbsolute, join } from "node:path"
import { after, before, test } from "node:test"
import { of, run } from "./run.ts"
import { fromSources, World } from "./world.ts"

const world = new World()
const data = world.file("data")
/** A home whose name has everything that one of the two gives a meaning. */
const home = world.file(`it's 100% "$HOME" \\ home`)

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "a"), "first")
  world.start(data)
  execFileSync("cp", ["-a", join(world.file("admin"), "backup-cloud"), home])
})
after(() => {
  world.end()
})

const strange = { BACKUP_CLOUD_HOME: home, BACKUP_CLOUD_CONFIG: "admin/backup-cloud.yaml" }

/** What `schedule` prints in these surroundings. */
async function schedule(env: Readonly<Record<string, string>>, ...options: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(of(world, "admin", env), "schedule", "docs", ...options)
  assert.equal(status, 0, stderr)
  return stdout
}

/** Pastes the printed script with a folder in the place of systemd's and a `systemctl` that notes how it was called. */
function paste(script: string, name: string): { folder: string; called: string } {
  const folder = world.file(name)
  mkdirSync(join(folder, "bin"), { recursive: true })
  writeFileSync(join(folder, "bin/systemctl"), `#!/bin/sh\necho "$@" >> ${folder}/called\n`, { mode: 0o755 })
  const env = { PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` }
  execFileSync("sh", ["-eu"], { input: script.replaceAll("/etc/systemd/system/", `${folder}/`), env })
  return { folder, called: readFileSync(join(folder, "called"), "utf8") }
}

/** What systemd makes of a unit's command line: its words. */
function wordsOf(line: string): string[] {
  // In the order of systemd: specifiers, quotes, then variables.
  const words = line.replaceAll("%%", "%").matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)
  return [...words].map(([, quoted, bare = ""]) => (quoted?.replace(/\\(.)/g, "$1") ?? bare).replaceAll("$$", "$"))
}

for (const [what, env] of [
  ["usual", {}],
  ["strange", strange],
] as const)
  test(`a systemd timer is taken by systemd and backs up, in ${what} places`, async () => {
    const { folder, called } = paste(await schedule(env, "--systemd"), `units-${what}`)
    assert.equal(called, "daemon-reload\nenable --now backup-cloud-docs.timer\n")
    const files = ["service", "timer"].map((kind) => join(folder, `backup-cloud-docs.${kind}`))
    const verified = spawnSync("systemd-analyze", ["verify", "--man=no", ...files], { encoding: "utf8" })
    assert.equal(verified.status, 0, verified.stderr)
    assert.doesNotMatch(verified.stderr, /backup-cloud-docs/)
    const [service = "", timer = ""] = files.map((file) => readFileSync(file, "utf8"))
    const when = /^OnCalendar=(.*)$/m.exec(timer)?.[1] ?? ""
    execFileSync("systemd-analyze", ["calendar", when], { stdio: "pipe" })
    const writable = wordsOf(/^ReadWritePaths=(.*)$/m.exec(service)?.[1] ?? "")
    assert.deepEqual(writable, [what === "usual" ? join(world.file("admin"), "backup-cloud") : home, world.archive])

    const [program = "", ...args] = wordsOf(/^ExecStart=(.*)$/m.exec(service)?.[1] ?? "")
    assert.ok(isAbsolute(program) && isAbsolute(args[0] ?? ""))
    for (const option of ["--archive", "--config", "--home"])
      assert.ok(isAbsolute(args[args.indexOf(option) + 1] ?? ""))
    const before = world.runs().length
    execFileSync(program, args, { cwd: "/", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...fromSources } })
    assert.equal(world.runs().length, before + 1)
  })

test("systemd-analyze finds fault with a unit that is not right", async () => {
  const { folder } = paste(await schedule({}, "--systemd"), "wrong")
  const file = join(folder, "backup-cloud-docs.service")
  writeFileSync(file, readFileSync(file, "utf8").replace("ExecStart=/", "ExecStart="))
  assert.notEqual(spawnSync("systemd-analyze", ["verify", "--man=no", file]).status, 0)
})

/** What cron makes of the command field: up to the first `%`, without the backslash of those that have one. */
const cronCommand = (field: string): string => (/^(?:[^%\\]|\\.)*/.exec(field)?.[0] ?? "").replaceAll("\\%", "%")

for (const [what, env] of [
  ["usual", {}],
  ["strange", strange],
] as const)
  test(`a line for crontab has its five fields and backs up, in ${what} places`, async () => {
    const line = await schedule(env, "--cron")
    const [, minute, hour, dayOfMonth, month, dayOfWeek, command = ""] =
      /^(\S+) (\S+) (\S+) (\S+) (\S+) +(.*)\n$/.exec(line) ?? []
    assert.deepEqual([minute, hour, dayOfMonth, month, dayOfWeek], ["15", "22", "*", "*", "*"])
    const before = world.runs().length
    const cron = { PATH: "/usr/bin:/bin", HOME: "/", SHELL: "/bin/sh", LOGNAME: "root" }
    execFileSync("/bin/sh", ["-c", cronCommand(command)], { cwd: "/", env: { ...cron, ...fromSources } })
    assert.equal(world.runs().length, before + 1)
  })

test("an archive in S3 keeps its whole address", async () => {
  const url = "s3://bucket/some/place?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=us-east-1"
  const cron = await schedule({}, "--cron", "--archive", url)
  const words = execFileSync("/bin/sh", ["-c", `printf '%s\\n' ${cronCommand(cron.slice(cron.indexOf("/")))}`], {
    encoding: "utf8",
  }).split("\n")
  assert.equal(words[words.indexOf("--archive") + 1], url)
  const service = /^ExecStart=(.*)$/m.exec(await schedule({}, "--archive", url))?.[1] ?? ""
  assert.equal(wordsOf(service)[wordsOf(service).indexOf("--archive") + 1], url)
})

test("no timer without keys, or for a place whose name is two lines", async () => {
  world.fails("admin", 10, "schedule", "nothing")
  const { status, stdout, stderr } = await run(
    of(world, "admin", { BACKUP_CLOUD_CONFIG: "two\nlines" }),
    "schedule",
    "docs",
    "--archive",
    world.archive,
  )
  assert.equal(status, 2, stderr)
  assert.equal(stdout, "")
  assert.match(stderr, /two\S*lines cannot be written into a timer/)
})
