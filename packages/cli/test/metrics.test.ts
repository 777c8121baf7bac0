import assert from "node:assert/strict"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { HELP } from "../src/metrics.ts"
import { World } from "./world.ts"

const world = new World()
const data = world.file("data")
const file = world.file("backup.prom")

before(() => {
  mkdirSync(data)
  writeFileSync(`${data}/a`, "a".repeat(5000))
  world.start(data)
})
after(() => {
  world.end()
})

/** Number by name and label, as a collector reads the file. */
function read(): Map<string, number> {
  const lines = readFileSync(file, "utf8").split("\n")
  const samples = lines.filter((line) => line !== "" && !line.startsWith("#"))
  const found = new Map<string, number>()
  for (const line of samples) {
    const [, name = "", value = ""] =
      /^([a-z_]+(?:\{(?:source|medium)="[^"]*"\})?) (\S+)$/.exec(line) ?? assert.fail(line)
    assert.ok(lines.some((each) => each.startsWith(`# HELP ${name.replace(/\{.*/, "")} `)))
    found.set(name, Number(value))
  }
  return found
}

test("a backup leaves its numbers, whole, and the next one replaces them", () => {
  const began = Date.now() / 1000
  world.ok("admin", "backup", "--metrics", file)
  const first = read()
  const of = (name: string): number => first.get(`backup_cloud_backup_${name}{source="docs"}`) ?? Number.NaN
  assert.equal(of("success"), 1)
  assert.equal(of("entries"), 2)
  assert.equal(of("bytes"), 5000)
  assert.ok(of("end_timestamp_seconds") >= began && of("end_timestamp_seconds") <= Date.now() / 1000)
  assert.ok(of("duration_seconds") > 0 && of("stored_bytes") > 65_536)
  writeFileSync(`${data}/b`, "b")
  world.ok("admin", "backup", "--metrics", file)
  assert.equal(read().get('backup_cloud_backup_entries{source="docs"}'), 3)
  assert.deepEqual(
    readdirSync(world.place).filter((name) => name.includes(".part")),
    [],
  )
})

test("status gives the age of every disk that is there, and the last drill of every source", () => {
  const oscar = (...args: string[]): string => world.ok("oscar", ...args)
  const number = (name: string, label: string): number | undefined => read().get(`backup_cloud_${name}{${label}}`)
  oscar("status", "--metrics", file)
  assert.equal(number("drill_success", 'source="docs"'), undefined, "there was no drill")
  assert.ok([...read().keys()].every((name) => !name.includes("medium")))

  const drill = ["drill", "docs@latest", "--release", world.release("docs@latest", "release")]
  const passing = Math.floor(Date.now() / 1000)
  oscar(...drill)
  const disk = world.file("disk")
  for (const label of ["Disk A", "Disk B"]) {
    mkdirSync(`${disk} ${label}`)
    oscar("media", "init", `${disk} ${label}`, "--label", label, "--location", "vault")
  }
  const synced = Math.floor(Date.now() / 1000)
  oscar("media", "sync", `${disk} Disk A`)
  oscar("media", "forget", "Disk B", "--yes")
  oscar("status", "--metrics", file)
  assert.equal(number("drill_success", 'source="docs"'), 1)
  assert.ok((number("drill_timestamp_seconds", 'source="docs"') ?? 0) >= passing)
  const age = number("medium_age_seconds", 'medium="Disk A"') ?? Number.NaN
  assert.ok(age >= 0 && age <= Date.now() / 1000 - synced + 1, String(age))
  assert.equal(number("medium_age_seconds", 'medium="Disk B"'), undefined, "it is lost")

  // Another machine knows no labels, and the last drill counts, not the best.
  world.fails("oscar", exitCode.differs, ...drill, "--check", "false")
  world.ok("admin", "status", "--metrics", file)
  assert.equal(number("drill_success", 'source="docs"'), 0)
  assert.ok([...read().keys()].some((name) => /medium_age_seconds\{medium="[0-9a-f]{32}"\}$/.test(name)))
})

test("status gives the age and the state of every source; a backup that fails says so", () => {
  world.ok("admin", "status", "--metrics", file)
  const good = read()
  assert.equal(good.get("backup_cloud_problems"), 0)
  assert.equal(good.get('backup_cloud_runs{source="docs"}'), 2)
  assert.equal(good.get('backup_cloud_last_run_complete{source="docs"}'), 1)
  assert.equal(good.get('backup_cloud_unread_entries{source="docs"}'), 0)
  const at = good.get('backup_cloud_last_success_timestamp_seconds{source="docs"}') ?? 0
  assert.ok(Math.abs(Date.now() / 1000 - at) < 600)

  const [volume = ""] = world.objects("backup/docs").filter((name) => name.includes("receipt-"))
  rmSync(`${world.archive}/${volume}`)
  world.fails("admin", 40, "status", "--metrics", file)
  assert.ok((read().get("backup_cloud_problems") ?? 0) > 0)

  rmSync(data, { recursive: true })
  assert.notEqual(world.as("admin", "backup", "--metrics", file).status, 0)
  assert.equal(read().get('backup_cloud_backup_success{source="docs"}'), 0)
})

test("with emf, a line for CloudWatch is among what is said, of a backup that fails too", () => {
  const line = (said: string): Record<string, unknown> => {
    const found = said.split("\n").find((each) => each.startsWith("{"))
    return JSON.parse(found ?? assert.fail(said)) as Record<string, unknown>
  }
  assert.ok(!existsSync(data))
  const failed = line(world.as("admin", "backup", "docs", "--metrics", "emf").stdout)
  assert.deepEqual([failed["Source"], failed["Failed"], failed["Complete"]], ["docs", 1, 0])
  mkdirSync(data)
  writeFileSync(`${data}/a`, "a".repeat(1000))
  const ended = line(world.ok("admin", "backup", "docs", "--metrics", "emf"))
  assert.deepEqual([ended["Failed"], ended["Complete"], ended["Files"], ended["Bytes"]], [0, 1, 2, 1000])
  writeFileSync(`${data}/a`, "a".repeat(499))
  assert.deepEqual([ended["Shrank"], line(world.ok("admin", "backup", "docs", "--metrics", "emf"))["Shrank"]], [0, 1])
  const { CloudWatchMetrics } = ended["_aws"] as {
    CloudWatchMetrics: { Namespace: string; Metrics: { Name: string }[] }[]
  }
  assert.equal(CloudWatchMetrics[0]?.Namespace, "BackupCloud")
  for (const { Name } of CloudWatchMetrics[0].Metrics) assert.equal(typeof ended[Name], "number", Name)
  assert.ok(!existsSync(world.file("emf")))
})

test("where the numbers cannot be written, that is said, and the file's folder is not made", () => {
  const nowhere = world.file("nowhere/backup.prom")
  const said = world.as("admin", "status", "--metrics", nowhere)
  assert.equal(said.status, 2)
  assert.match(said.stderr, /nowhere\/backup\.prom: the metrics cannot be written there/)
  assert.ok(!existsSync(world.file("nowhere")))
})

test("the page on monitoring names every number", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/monitoring.md"), "utf8")
  for (const name of Object.keys(HELP)) assert.ok(page.includes(`\`${name}\``), name)
})
