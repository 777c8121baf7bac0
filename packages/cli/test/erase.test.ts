// Erasures from end to end: a file, a parameter and rows of a database are erased, and an older run brings none of them back.
// Then what an operator could do about it: an older or thinned copy of the archive, a release of another time, a new key.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { PutParameterCommand, SSMClient } from "@aws-sdk/client-ssm"
import { exitCode } from "@backup-cloud/format"
import { makeSaver, PASSWORD } from "../../source-mysql/test/helpers.ts"
import { Server } from "../../source-mysql/test/server.ts"
import { type Moto, startMoto } from "../../store/test/moto.ts"
import { World } from "./world.ts"

const world = new World()
const { refused, alarm, tampered, usage } = exitCode
let moto: Moto
let server: Server
let other: Server

const SQL = "DELETE FROM people WHERE id = 4711;\nDELETE FROM orders WHERE person = 4711;\n"
const rows = (of: Server): string => of.sql("SELECT id FROM shop.people ORDER BY id; SELECT person FROM shop.orders")
const root = (of: Server): string => `mysql://root@localhost/?socket=${of.socket}`

before(async () => {
  ;[moto, server, other] = await Promise.all([startMoto(), Server.start(), Server.start()])
  process.env["AWS_ACCESS_KEY_ID"] = process.env["AWS_SECRET_ACCESS_KEY"] = "test"
  const data = world.file("data")
  mkdirSync(join(data, "people/4711"), { recursive: true })
  writeFileSync(join(data, "people/4711/letter"), "dear 4711")
  writeFileSync(join(data, "people/4711/photo"), "a photo")
  writeFileSync(join(data, "people/4712"), "stays")
  // A name that sorts before the erased one, for the same file.
  linkSync(join(data, "people/4711/letter"), join(data, "inbox"))
  writeFileSync(join(data, "copy"), "dear 4711")
  world.start(data)

  const access = { accessKeyId: "test", secretAccessKey: "test" }
  const ssm = new SSMClient({ region: "us-east-1", endpoint: moto.endpoint, credentials: access })
  for (const Name of ["/app/password", "/app/password/old", "/app/name"])
    await ssm.send(new PutParameterCommand({ Name, Value: `value of ${Name}`, Type: "String" }))
  ssm.destroy()
  const query = `?region=us-east-1&endpoint=${encodeURIComponent(moto.endpoint)}`
  world.ok("admin", "source", "add", "parameters", `ssm:/app${query}`)

  makeSaver(server)
  server.sql(
    "CREATE DATABASE shop; USE shop; CREATE TABLE people (id INT PRIMARY KEY, name TEXT); CREATE TABLE orders (person INT);" +
      "INSERT INTO people VALUES (4711, 'gone'), (4712, 'stays'); INSERT INTO orders VALUES (4711), (4712), (4711)",
  )
  writeFileSync(world.file("password"), `${PASSWORD}\n`, { mode: 0o600 })
  const url = `mysql://saver@127.0.0.1:${server.port}/`
  world.ok("admin", "source", "add", "db", url, "--password-file", world.file("password"))
  for (const source of ["docs", "parameters", "db"]) world.ok("admin", "backup", source)
  // Before anything is erased: the honest release of a time before.
  world.release("docs@latest", "before.release")

  writeFileSync(world.file("rows.sql"), SQL)
  const why = ["--reason", "asked to be forgotten", "--ticket", "CASE-9", "--yes"]
  world.ok("admin", "erase", "add", "docs", "--path", "/people/4711", ...why)
  world.ok("admin", "erase", "add", "parameters", "--parameter", "/app/password", ...why)
  world.ok("admin", "erase", "add", "db", "--sql", world.file("rows.sql"), "--database", "shop", ...why)
  for (const source of ["docs", "parameters", "db"]) world.release(`${source}@latest`, `${source}.release`)
})
after(async () => {
  world.end()
  await Promise.all([moto.close(), server.end(), other.end()])
})

const restore = (name: string, release: string, to: string, ...more: string[]): string[] => [
  "restore",
  `${name}@latest`,
  "--release",
  world.file(release),
  "--to",
  to,
  ...more,
]
const files = (name: string): string[] =>
  readdirSync(world.file(name), { recursive: true, encoding: "utf8" }).toSorted()

test("an older run brings none of them back, and says so", () => {
  const said = world.ok("oscar", ...restore("docs", "docs.release", world.file("docs"), "--list-erased", "--verify"))
  assert.deepEqual(files("docs"), ["copy", "people", "people/4712"])
  assert.equal(readFileSync(world.file("docs/copy"), "utf8"), "dear 4711", "what shares content stays")
  assert.match(said, /Left out of docs@\S+: 4 entries, of them 2 files of 16 B, .*\(erasures 1\)/)
  for (const path of ["inbox", "people/4711", "people/4711/letter", "people/4711/photo"])
    assert.ok(said.includes(`left out for erasure 1: ${path}\n`), path)

  const told = world.ok("oscar", ...restore("parameters", "parameters.release", world.file("parameters")))
  assert.match(told, /Left out of parameters@\S+: 1 entries/)
  assert.deepEqual(files("parameters"), ["app", "app/name", "app/password", "app/password/old"])

  const ran = world.ok("oscar", ...restore("db", "db.release", root(other), "--path", "*/shop.sql", "--verify"))
  assert.match(ran, /Ran the SQL of erasure 3 in the database shop/)
  assert.equal(rows(other), "4712\n4712")
  assert.equal(rows(server), "4711\n4712\n4711\n4712\n4711")
})

test("the same runs bring them back with a release that says so, and only when told to", () => {
  const ask = ["request", "docs@latest", "--reason", "a court asks", "--without-erasures"]
  world.ok("oscar", ...ask, "--out", world.file("court.request"))
  const approve = ["keyholder", "approve", world.file("court.request"), "--yes", "--out", world.file("court")]
  assert.match(world.fails("alice", refused, ...approve), /NONE IS HONOURED[\s\S]*for what was erased too/)
  assert.ok(!existsSync(world.file("court")))
  world.ok("alice", ...approve, "--without-erasures")
  assert.match(readFileSync(world.file("alice/backup-cloud/ledger.jsonl"), "utf8"), /"without_erasures":true/)

  world.ok("oscar", ...restore("docs", "court", world.file("honoured")))
  assert.deepEqual(files("honoured"), ["copy", "people", "people/4712"])
  const other = restore("docs", "docs.release", world.file("unheard"), "--without-erasures")
  assert.match(world.fails("oscar", refused, ...other), /no release given allows/)
  assert.ok(!existsSync(world.file("unheard")))
  world.ok("oscar", ...restore("docs", "court", world.file("all"), "--without-erasures"))
  assert.deepEqual(files("all"), [
    ...["copy", "inbox", "people", "people/4711", "people/4711/letter", "people/4711/photo", "people/4712"],
  ])
  // A holder cannot give more than was asked for.
  const widen = ["keyholder", "approve", world.file("docs.release.request"), "--out", world.file("wide"), "--yes"]
  world.ok("oscar", "request", "docs@latest", "--reason", "x", "--out", world.file("plain.request"))
  widen[2] = world.file("plain.request")
  assert.match(world.fails("alice", refused, ...widen, "--without-erasures"), /is not for what was erased/)
})

test("files, cat, diff, requests by path and --pipe honour them too", () => {
  const release = ["--release", world.file("docs.release")]
  assert.doesNotMatch(world.ok("oscar", "files", "docs@latest", ...release), /inbox|letter|photo|4711$/m)
  for (const path of ["people/4711/letter", "inbox"])
    assert.match(
      world.fails("oscar", path === "inbox" ? exitCode["not-found"] : refused, "cat", "docs@latest", path, ...release),
      /erasure 1|is not in/,
    )
  assert.match(world.ok("oscar", "cat", "docs@latest", "people/4712", ...release), /stays/)
  const out = ["--reason", "x", "--out", world.file("by-path"), "--path", "people/4711/*"]
  world.fails("oscar", exitCode["not-found"], "request", "docs@latest", ...out, ...release)
  const pipe = ["restore", "docs@latest", ...release, "--pipe", `cat > ${world.file("piped")}-$(basename "$1")`]
  world.ok("oscar", ...pipe)
  assert.deepEqual(
    readdirSync(world.place).filter((name) => name.startsWith("piped-")),
    ["piped-4712", "piped-copy"],
  )
  assert.match(world.ok("oscar", ...restore("docs", "docs.release", world.file("dry"), "--dry-run")), /Left out/)
})

test("dumps in a directory get the SQL beside them, with a warning; another kind of place is refused", () => {
  const ended = world.as(
    "oscar",
    ...restore("db", "db.release", world.file("dumps"), "--path", "*/shop.sql"),
    "--quiet",
  )
  assert.equal(ended.status, 0, ended.stderr)
  assert.match(ended.stderr, /WARNING: .*once shop is loaded, run ERASE-000003\.sql in it/)
  assert.equal(readFileSync(world.file("dumps/ERASE-000003.sql"), "utf8"), SQL)
  const shell = `cat > ${world.file("db-")}$(basename "$1"); echo "$1"`
  const release = ["--release", world.file("db.release"), "--path", "*/shop.sql"]
  const piped = world.as("oscar", "restore", "db@latest", ...release, "--pipe", shell)
  assert.match(piped.stdout, /shop\.sql\nERASE-000003\.sql\n/, "the last file")
  assert.match(piped.stderr, /WARNING: .*run ERASE-000003\.sql in it/)
  assert.equal(readFileSync(world.file("db-ERASE-000003.sql"), "utf8"), SQL)
  const query = `?region=us-east-1&endpoint=${encodeURIComponent(moto.endpoint)}`
  const said = world.fails("oscar", refused, ...restore("db", "db.release", `s3://nowhere/db${query}`))
  assert.match(said, /erasure 3 is SQL, and this target cannot run it; nothing was written/)
})

test("a copy without erasures/, or with fewer, is refused with the honest release; a machine that saw them raises the alarm", () => {
  const thin = world.file("thin")
  for (const [numbers, left] of [
    [[3], 2],
    [[1, 2, 3], 0],
  ] as const) {
    cpSync(world.archive, thin, { recursive: true })
    for (const number of numbers)
      for (const ending of ["", ".sig"]) rmSync(join(thin, `erasures/00000${number}.json.gpg${ending}`))
    const command = restore("docs", "docs.release", world.file("attacked"), "--archive", thin)
    assert.match(world.fails("oscar", alarm, ...command), /000003.*was there before/)
    const admin = world.fingerprints.get("admin") ?? ""
    const fresh = world.file(`fresh-${left}`)
    world.ok("oscar", "trust", thin, admin, "--yes", "--home", fresh)
    const said = world.fails("oscar", refused, ...command, "--home", fresh)
    assert.match(said, new RegExp(`states 3 erasures, and ${left} are recorded here`))
    assert.ok(!existsSync(world.file("attacked")))
    world.fails(
      "oscar",
      alarm,
      "request",
      "docs@latest",
      "--reason",
      "x",
      "--out",
      `${fresh}.request`,
      "--archive",
      thin,
    )
    assert.match(world.fails("admin", alarm, "verify", "--archive", thin), /000003/)
    rmSync(thin, { recursive: true })
  }
  // A release of a time before the erasures knows of none, and the archive as it is honours them all the same.
  world.ok("oscar", ...restore("docs", "before.release", world.file("early")))
  assert.deepEqual(files("early"), ["copy", "people", "people/4712"])
})

test("records that were swapped, cut or taken away are refused", () => {
  const back = world.keep()
  const at = (number: number, ending = ""): string => join(world.archive, `erasures/00000${number}.json.gpg${ending}`)
  const put = (from: number, to: number): void => {
    for (const ending of ["", ".sig"]) writeFileSync(at(to, ending), readFileSync(at(from, ending)))
  }
  const changes: readonly [() => void, number, RegExp][] = [
    [
      () => {
        put(2, 3)
      },
      tampered,
      /000003.*is record 2, put in another's place/,
    ],
    [
      () => {
        put(2, 1)
      },
      tampered,
      /000002.*does not continue record 1/,
    ],
    [
      () => {
        writeFileSync(at(1), readFileSync(at(1)).subarray(0, -1))
      },
      tampered,
      /000001.*does not agree/,
    ],
    [
      () => {
        rmSync(at(2))
      },
      tampered,
      /000002/,
    ],
    [
      () => {
        rmSync(at(3, ".sig"))
      },
      refused,
      /000003.*signature/,
    ],
    [() => undefined, 0, /Left out/],
  ]
  for (const [i, [change, status, why]] of changes.entries()) {
    // A machine that has seen none of them.
    const fresh = ["--home", world.file(`fresh-${i}`)]
    world.ok("oscar", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes", ...fresh)
    change()
    const command = restore("docs", "docs.release", world.file(`forged-${i}`), ...fresh)
    const said = world.fails("oscar", status, ...command)
    back()
    assert.match(said, why)
  }
})

test("an operator enrolled later is told to ask for a renewal, and honours what was said again", () => {
  world.person("nina")
  world.ok("admin", "operator", "add", world.file("nina.asc"))
  world.ok("nina", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes")
  const ask = (name: string): string => {
    world.ok("nina", "request", "docs@latest", "--reason", "new here", "--out", world.file(`${name}.request`))
    world.ok("alice", "keyholder", "approve", world.file(`${name}.request`), "--out", world.file(name), "--yes")
    return name
  }
  const early = restore("docs", ask("nina-1"), world.file("nina's"))
  assert.match(world.fails("nina", refused, ...early), /not sealed to a key that you have.*\n.*erase renew/)
  assert.match(world.ok("admin", "erase", "renew"), /Erasure 1 is said again as 4\.[\s\S]*3 is said again as 6/)
  assert.match(world.ok("admin", "erase", "renew"), /nothing was said again/)
  world.ok("nina", ...early)
  assert.deepEqual(files("nina's"), ["copy", "people", "people/4712"])
  // To those who can open both, it is one.
  const json = world.ok("oscar", "erase", "list", "--json")
  assert.match(json, /"event":"result","erasures":6,"inForce":3/)
  world.ok("admin", "verify")
})

test("recover.sh leaves out the same, once it is given the records, and stops without them", () => {
  const gpg = ["--homedir", world.file("oscar"), "--batch", "--quiet", "--pinentry-mode", "loopback"]
  const decrypted = (file: string, name: string): string => {
    // That it cannot check the holder's signature is no matter here.
    spawnSync("gpg", [...gpg, "--output", world.file(name), "--decrypt", file], { stdio: "ignore" })
    assert.ok(existsSync(world.file(name)), name)
    return world.file(name)
  }
  const records = [4, 5, 6].map((n) => decrypted(join(world.archive, `erasures/00000${n}.json.gpg`), `record-${n}`))
  const recover = (name: string, to: string, ...given: readonly string[]) => {
    const passphrases = world.file(`${name}.json`)
    if (!existsSync(passphrases)) decrypted(world.file(`${name}.release`), `${name}.json`)
    const args = ["--admin", world.fingerprints.get("admin") ?? "", "--passphrases", passphrases, ...given]
    const [run = ""] = world.runs(name)
    const script = [join(world.archive, "recover.sh"), ...args, name, run, world.file(to)]
    const { status, stderr } = spawnSync("sh", script, { encoding: "utf8" })
    return { status, stderr }
  }
  const all = records.flatMap((file) => ["--erasures", file])
  for (const name of ["docs", "parameters"] as const) {
    const { status, stderr } = recover(name, `recovered-${name}`, ...all)
    assert.equal(status, 0, stderr)
    assert.match(stderr, new RegExp(`left out: ${name === "docs" ? 4 : 1} entries that must not come back`))
    execFileSync("diff", ["-r", world.file(name), world.file(`recovered-${name}`)])
  }
  assert.match(recover("db", "recovered-db", ...all).stderr, /ERASURE 6: before anybody uses the database shop/)
  const stopped = recover("docs", "stopped")
  assert.equal(stopped.status, refused)
  assert.match(stopped.stderr, /gpg -d .*erasures\/000001\.json\.gpg/)
  const fewer = recover("docs", "fewer", ...all.slice(2))
  assert.equal(fewer.status, refused)
  assert.match(fewer.stderr, /record 1 of what must not come back is not given/)
  const first = records[0] ?? ""
  const record = readFileSync(first, "utf8")
  const edited = (from: string, to: string, name: string) => {
    writeFileSync(first, record.replace(from, to))
    return recover("docs", name, ...all)
  }
  assert.equal(edited('"number": 4', '"number": 3', "another").status, tampered)
  const pattern = edited("/people/4711", "x?", "pattern")
  assert.equal(pattern.status, refused)
  assert.match(pattern.stderr, /the pattern x\? says what must not come back, and is not known to this script/)
  assert.equal(edited("/people/4711", "in*", "by a star").status, 0)
  assert.deepEqual(files("by a star"), ["copy", "people", "people/4711", "people/4711/photo", "people/4712"])
  const back = world.keep()
  rmSync(join(world.archive, "erasures"), { recursive: true })
  const without = recover("docs", "without")
  back()
  assert.equal(without.status, refused)
  assert.match(without.stderr, /the release states 3 records of what must not come back, and 0 are here/)
  assert.equal(recover("docs", "everything", "--without-erasures").status, 0)
  assert.equal(readFileSync(world.file("everything/people/4711/letter"), "utf8"), "dear 4711")
})

test("what cannot be meant is not recorded", () => {
  const why = ["--reason", "x", "--yes"]
  for (const wrong of [
    ["docs"],
    ["docs", "--path", "../a"],
    ["docs", "--parameter", "/app/password"],
    ["docs", "--key", "a"],
    ["docs", "--path", "a", "--until", "tomorrow"],
    ["docs", "--path", "a", "--until", "2026-01-01T00:00:00Z", "--always"],
    ["nothing", "--path", "a"],
    ["db", "--sql", world.file("rows.sql")],
    ["db", "--sql", world.file("none.sql"), "--database", "shop"],
  ])
    world.fails("admin", usage, "erase", "add", ...wrong, ...why)
  // Whoever has not the administrator's key records nothing.
  world.fails("oscar", refused, "erase", "add", "docs", "--path", "a", ...why)
  assert.equal(world.objects("erasures/").length, 12)
})
