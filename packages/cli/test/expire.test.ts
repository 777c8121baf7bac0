// Years of backups in a directory, whose times are moved instead of the clock: keep rules, holds, expiry, and what all that
// reads says afterwards.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { names } from "@backup-cloud/format"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

const world = new World()
const data = world.file("data")
const disk = world.file("disk")
const DAY = 86_400_000
/** Ids, the oldest first. */
let runs: string[] = []
const id = (number: number): string => `docs@${runs[number - 1] ?? ""}`

/** Lets days go by: all that was stored or seen was so many days earlier. */
function age(days: number): void {
  const earlier = (time: Date): Date => new Date(time.getTime() - days * DAY)
  for (const name of world.objects()) {
    const file = join(world.archive, name)
    const { atime, mtime } = statSync(file)
    utimesSync(file, atime, earlier(mtime))
  }
  for (const who of ["admin", "oscar"]) {
    const seen = world.file(`${who}/backup-cloud/sightings.json`)
    if (!existsSync(seen)) continue
    const text = readFileSync(seen, "utf8")
    writeFileSync(
      seen,
      text.replace(/[0-9-]{10}T[0-9:.]+Z(?=")/g, (time) => earlier(new Date(time)).toISOString()),
    )
  }
}

function backup(): void {
  appendFileSync(join(data, "log.txt"), `line ${runs.length}\n`)
  world.ok("admin", "backup", "docs")
  runs = world.runs()
}

const listed = (run: string): string[] =>
  world.objects(`backup/docs/${run.slice("docs@".length)}`).map((name) => name.slice(name.lastIndexOf("/") + 1))
const expires = (text: string): string[] => [...text.matchAll(/^(\S+) {2}GOES/gm)].map((match) => match[1] ?? "")

before(() => {
  mkdirSync(data)
  for (let i = 0; i < 4; i++) writeFileSync(join(data, `file ${i}`), Buffer.alloc(300_000 + i, `content ${i} `))
  world.start(data)
  for (const wait of [10, 200, 5, 5, 185]) {
    backup()
    age(wait)
  }
})
after(() => {
  world.end()
})

test("without a keep rule everything stays; a rule must say something; anybody may see what would go", () => {
  assert.match(world.ok("oscar", "expire"), /docs: nothing goes: it has no keep rule[^]*No run expires/)
  assert.match(world.fails("admin", 2, "policy", "keep", "docs"), /say which runs stay/)
  assert.match(world.fails("admin", 2, "policy", "keep", "docs", "--daily", "-1"), /takes a number/)
  assert.match(world.fails("admin", 12, "policy", "keep", "mail", "--daily", "1"), /the source mail/)
  world.ok("admin", "policy", "keep", "docs", "--last", "2", "--monthly", "2")
  const text = world.ok("oscar", "expire")
  assert.deepEqual(expires(text), [id(1), id(2), id(3)])
  assert.match(text, /stays: last 2/)
  const events = world.ok("oscar", "--json", "expire").trim().split("\n")
  const last = JSON.parse(events.at(-1) ?? "") as Record<string, unknown>
  assert.deepEqual([last["event"], last["runs"], last["applied"]], ["result", 3, false])
  world.ok("admin", "policy", "keep", "docs", "--everything")
  assert.deepEqual(expires(world.ok("oscar", "expire")), [])
  world.ok("admin", "policy", "keep", "docs", "--last", "2")
})

test("a hold keeps a run until it is released", () => {
  assert.match(
    world.fails("admin", 10, "policy", "hold", "docs@20200101T000000Z-00000000", "--name", "x"),
    /is not there/,
  )
  assert.match(world.fails("admin", 2, "policy", "hold", "docs", "--name", "x", "--until", "soon"), /takes a date/)
  world.ok("admin", "policy", "hold", id(1), "--name", "court 17")
  const text = world.ok("admin", "expire")
  assert.deepEqual(expires(text), [id(2), id(3)])
  assert.match(text, /stays: held: court 17/)
  world.ok("admin", "policy", "hold", "docs", "--name", "all", "--until", "2099-12-31")
  assert.deepEqual(expires(world.ok("admin", "expire")), [])
  assert.match(world.fails("admin", 10, "policy", "release-hold", "docs", "--name", "other"), /no such hold/)
  world.ok("admin", "policy", "release-hold", "docs", "--name", "all")
  world.ok("admin", "policy", "release-hold", id(1), "--name", "court 17")
  assert.deepEqual(expires(world.ok("admin", "expire")), [id(1), id(2), id(3)])
})

test("the administrator alone applies it; verify passes; kept runs restore; an expired one says by which list it went", () => {
  const objects = world.objects()
  cpSync(world.archive, disk, { recursive: true, preserveTimestamps: true })
  world.fails("oscar", 12, "--yes", "expire", "--apply")
  assert.deepEqual(world.objects(), objects, "an operator has no key that signs lists")
  world.fails("admin", 2, "expire", "--apply")
  world.fails("admin", 2, "--yes", "expire", "--apply", "--dry-run")
  assert.deepEqual(world.objects(), objects, "nobody is there to say yes")

  const text = world.ok("admin", "--yes", "expire", "--apply")
  assert.match(text, /Expiry list 1 is signed: 3 runs/)
  for (const number of [1, 2])
    assert.deepEqual(
      listed(id(number)).filter((base) => base.endsWith(".gpg")),
      [],
    )
  const third = listed(id(3))
  assert.ok(third.includes(names.key) && third.includes(names.volume(1)), "later runs use them")
  assert.ok(!third.includes(names.root(1)))
  for (const who of ["admin", "oscar"]) world.ok(who, "verify")
  assert.match(world.ok("admin", "status"), /All is as it should be/)
  const shown = world.ok("oscar", "runs", "docs")
  assert.equal([...shown.matchAll(/EXPIRED: taken away by expiry list 1/g)].length, 3)

  const ask = (run: string): string =>
    world.fails("oscar", 14, "request", run, "--reason", "x", "--out", world.file("never"))
  for (const number of [1, 2, 3]) assert.match(ask(id(number)), /taken away by expiry list 1/)
  assert.match(world.fails("admin", 14, "policy", "hold", id(1), "--name", "late"), /expiry list 1/)
  for (const number of [4, 5]) {
    const release = world.release(id(number), `release ${number}`)
    world.ok("oscar", "restore", id(number), "--release", release, "--to", world.file(`restored ${number}`))
    const log = readFileSync(join(world.file(`restored ${number}`), "log.txt"), "utf8")
    assert.equal(
      log,
      [0, 1, 2, 3, 4]
        .slice(0, number)
        .map((line) => `line ${line}\n`)
        .join(""),
    )
  }
  const again = world.ok("admin", "expire", "--apply")
  assert.match(again, /No run expires[^]*Removed 0 objects/)
})

test("an absence that no list names is tampered; so is a forged list, and a chain that was cut off is an alarm", () => {
  const putBack = world.keep()
  rmSync(join(world.archive, `backup/docs/${id(3).slice(5)}`, names.volume(1)))
  assert.match(world.fails("oscar", 31, "verify"), /volume-00000001\.tar\.zst\.gpg: is missing/)
  putBack()
  const list = join(world.archive, names.expiry(1))
  const kept = readFileSync(list, "utf8")
  writeFileSync(list, kept.replace(`"run": "${id(3).slice(5)}"`, `"run": "${id(4).slice(5)}"`))
  const forged = world.fails("oscar", 50, "verify")
  assert.match(forged, /TAMPERED {2}expiries\/000001\.json/)
  assert.match(world.fails("admin", 50, "expire"), /expiries\/000001\.json/)
  rmSync(list)
  rmSync(`${list}.sig`)
  assert.match(world.fails("oscar", 50, "verify"), /ALARM {2}expiries\/000001\.json: was there and valid before/)
  putBack()
  world.ok("oscar", "verify")
})

test("recover.sh says which list took a run away, and brings back what is kept", () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const recover = (run: string, to: string) =>
    spawnSync("sh", [join(world.archive, "recover.sh"), "--admin", admin, "docs", run.slice(5), world.file(to)], {
      cwd: world.archive,
      encoding: "utf8",
      env: { ...process.env, GNUPGHOME: world.file("alice") },
    })
  const gone = recover(id(1), "recovered 1")
  assert.equal(gone.status, 30)
  assert.match(gone.stdout + gone.stderr, /expiry list 000001\.json/)
  const well = recover(id(5), "recovered 5")
  assert.equal(well.status, 0, well.stderr)
  assert.doesNotMatch(well.stdout + well.stderr, /expiry list/)
  assert.equal(readFileSync(join(world.file("recovered 5"), "log.txt"), "utf8").split("\n").length, 6)
})

test("a disk follows the lists, or has a day after which to destroy it", () => {
  const text = world.ok("admin", "expire", "--disk", disk)
  assert.match(text, /holds 5 runs, and 3 of them have expired/)
  assert.match(text, /no date yet: last 2[^]*No day can be told yet/)
  world.ok("admin", "--yes", "expire", "--disk", disk, "--apply")
  const left = readdirSync(disk, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.startsWith(`backup/docs/${id(1).slice(5)}`),
  )
  assert.deepEqual(
    left.filter((name) => name.endsWith(".gpg")),
    [],
  )
  world.ok("oscar", "--archive", disk, "verify")
  renameSync(join(disk, "archive.json"), join(disk, "other.json"))
  assert.match(world.fails("admin", 10, "--yes", "expire", "--disk", disk, "--apply"), /holds no archive/)
  renameSync(join(disk, "other.json"), join(disk, "archive.json"))
})

test("backups go on, and in time the disk has its day", () => {
  for (let i = 0; i < 3; i++) {
    backup()
    age(1)
  }
  world.ok("admin", "verify")
  const text = world.ok("admin", "expire", "--disk", disk)
  assert.match(text, /Destroy .* after [0-9-]{10}: no rule keeps anything on it/)
  age(180)
  const later = world.ok("admin", "--yes", "expire", "--apply")
  assert.match(later, /Expiry list 2 is signed/)
  world.ok("admin", "verify")
})

test("files that bear an earlier time than the last look arrived after it", () => {
  backup()
  const fresh = id(runs.length)
  for (const base of listed(fresh)) utimesSync(join(world.archive, `backup/docs/${fresh.slice(5)}`, base), 1, 1)
  assert.ok(!expires(world.ok("admin", "expire")).includes(fresh))
  rmSync(world.file("admin/backup-cloud/sightings.json"))
  // Who never looked can only believe the files; then the oldest is this one.
  world.ok("admin", "policy", "keep", "docs", "--last", "1")
  assert.ok(expires(world.ok("admin", "expire")).includes(fresh))
})

test("the blocks of the page retention.md do what it says", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/retention.md"), "utf8")
  const blocks = [...page.matchAll(/^```sh.*\n((?:.*\n)*?)```$/gm)].map((match) => match[1] ?? "")
  assert.equal(blocks.length, 5)
  const place = world.file("page")
  mkdirSync(place)
  symlinkSync(join(import.meta.dirname, "../bin/backup-cloud.js"), join(place, "backup-cloud"))
  const { env } = of(world, "admin", { ...fromSources, PATH: `${place}:${process.env["PATH"] ?? ""}` })
  for (const block of blocks) {
    const script = block.replace("/mnt/disk", disk)
    const { status, stderr } = spawnSync("sh", ["-ec", script], { cwd: place, env, encoding: "utf8" })
    assert.equal(status, 0, `${block}\n${stderr}`)
  }
  world.ok("oscar", "verify")
})
