// What goes wrong amidst: nothing of it is ever the latest run, nothing is left running, and no password is anywhere.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { kill } from "node:process"
import { after, before, beforeEach, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import type { MysqlSourceOptions } from "../src/index.ts"
import { amidst, contentOf, makeSaver, PASSWORD, restoreInto, sourceOf } from "./helpers.ts"
import { children, programOf } from "./processes.ts"
import { Server } from "./server.ts"

let server: Server
const MiB = 1_048_576

before(async () => {
  server = await Server.start()
})
after(async () => {
  await server.end()
})
beforeEach(() => {
  server.reset()
  makeSaver(server)
  // More than pipes and sockets hold: what happens after its first MiB happens while it is dumped.
  server.sql(
    "CREATE DATABASE shop; USE shop; CREATE TABLE big (id INT PRIMARY KEY, v TEXT); CREATE TABLE small (id INT);" +
      "INSERT INTO big SELECT seq, REPEAT(SHA2(seq, 256), 30) FROM seq_1_to_7000; INSERT INTO small VALUES (1)",
  )
})

const BIG = "1-tables/shop.sql"

function dumping(): number[] {
  return children().filter((id) => programOf(id).endsWith("mariadb-dump"))
}

interface Broken {
  readonly machine: Machine
  readonly first: string
  readonly outcome: string
  readonly said: string
}

/** A complete run, and then one in whose midst something happens. */
async function breakAmidst(
  happen: () => Promise<void> | void,
  more: Partial<MysqlSourceOptions> = {},
): Promise<Broken> {
  let broken = false
  const whole = sourceOf(server, more)
  const machine = await makeMachine({
    ...whole,
    entries: (s) => (broken ? amidst(whole, BIG, MiB, happen) : whole).entries(s),
  })
  const first = await machine.backup(machine.store)
  assert.equal(first.outcome, "complete")
  broken = true
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  let said = ""
  const onEvent = (event: unknown): void => void (said += JSON.stringify(event))
  const { outcome } = await machine.backup(machine.store, { onEvent })
  assert.equal((await machine.runs(machine.store)).runs.length, 2)
  assert.equal((await machine.receipt(machine.store, "latest")).run, first.run, "the latest is the one before")
  assert.deepEqual(dumping(), [])
  return { machine, first: first.run, outcome, said }
}

test("a dump program that is killed makes a failed run; the next one is whole", async () => {
  const { machine, outcome, said } = await breakAmidst(() => {
    const [program, ...others] = dumping()
    assert.ok(program !== undefined && others.length === 0)
    kill(program, "SIGKILL")
  })
  assert.equal(outcome, "failed")
  assert.match(said, /mariadb-dump was ended by SIGKILL; the backup is not whole/)
  const again = await makeMachine(sourceOf(server))
  assert.equal((await again.backup(again.store)).outcome, "complete")
  assert.deepEqual(await machine.problems(machine.store), [])
})

test("a table that is dropped amidst makes a failed run", async () => {
  const { outcome, said } = await breakAmidst(() => {
    server.sql("DROP TABLE shop.small")
  })
  assert.equal(outcome, "failed")
  assert.match(said, /ended with exit status \d; the backup is not whole; it said: .*small/)
})

test("rows that change amidst are not in it: all tables are of one moment", async () => {
  const source = sourceOf(server)
  const before = await contentOf(source)
  const during = await contentOf(
    amidst(source, BIG, MiB, () => {
      server.sql("UPDATE shop.big SET v = 'late'; INSERT INTO shop.small VALUES (2)")
    }),
  )
  assert.equal(during.get(BIG), before.get(BIG))
  assert.match((await contentOf(source)).get(BIG) ?? "", /late/)
})

test("a server that stops amidst makes a failed run; one that is not there, none at all", async () => {
  const { machine, outcome, said } = await breakAmidst(() => server.kill())
  assert.equal(outcome, "failed")
  assert.match(said, /the backup is not whole; it said: .*(?:Lost connection|gone away)/)
  try {
    const source = sourceOf(server)
    const gone = await makeMachine(source)
    await assert.rejects(
      gone.backup(gone.store),
      (error) => isFault(error, "unavailable") && /2002|2003/.test(error.message),
    )
    assert.equal((await gone.runs(gone.store)).runs.length, 0)
  } finally {
    await server.run()
  }
  assert.deepEqual(await machine.problems(machine.store), [])
})

test("a wrong password, and one that cannot be had, commit nothing and are not told", async () => {
  const machine = await makeMachine(sourceOf(server, { password: async () => "guess work" }))
  await assert.rejects(machine.backup(machine.store), (error) => {
    assert.ok(isFault(error, "refused"))
    assert.match(error.message, /Access denied/)
    assert.doesNotMatch(JSON.stringify([error.message, error.hint, error.stack]), /guess/)
    return true
  })
  assert.equal((await machine.runs(machine.store)).runs.length, 0)
  const none = sourceOf(server, { password: () => Promise.reject(new Error("no token")) })
  await assert.rejects(contentOf(none), /no token/)
})

test("a run that is stopped leaves no program behind", async () => {
  const abort = new AbortController()
  const source = amidst(sourceOf(server), BIG, MiB, () => {
    assert.equal(dumping().length, 1)
    abort.abort(new Error("enough"))
  })
  const machine = await makeMachine(source)
  await assert.rejects(machine.backup(machine.store, { signal: abort.signal }), /enough/)
  assert.deepEqual(dumping(), [])
})

test("the password is in no process table, environment, file of memory, event or error", async () => {
  const secret = Buffer.from("pass'word")
  const look = (): string[] => {
    const places = children().flatMap((id) => [`/proc/${id}/cmdline`, `/proc/${id}/environ`])
    const files = readdirSync("/dev/shm").filter((name) => name.startsWith("backup-cloud-mysql-"))
    return [...places, ...files.map((name) => `/dev/shm/${name}`)].filter((file) => readFileSync(file).includes(secret))
  }
  const found: string[] = []
  let looks = 0
  const lookNow = (): void => {
    looks++
    assert.ok(looks > 1 || dumping().length === 1)
    found.push(...look())
  }
  let lines = ""
  const watched = (source: ReturnType<typeof sourceOf>) =>
    [BIG, "2-code/shop.sql", "3-views/shop.sql"].reduce((inner, path) => amidst(inner, path, 10, lookNow), source)
  const machine = await makeMachine(watched(sourceOf(server, { onLine: (line) => void (lines += line) })))
  const onEvent = (event: unknown): void => void (lines += JSON.stringify(event))
  const { run } = await machine.backup(machine.store, { onEvent })
  lines += JSON.stringify(await machine.receipt(machine.store, run))
  assert.equal(looks, 3)
  assert.deepEqual(found, [])
  assert.ok(!lines.includes("pass'word"))
  // It was told: without it the server lets nobody in. And a look finds what is there to be found.
  await assert.rejects(contentOf(sourceOf(server, { password: null })), (error) => isFault(error, "refused"))
  const told = spawn("sleep", ["1000"], { env: { PASSWORD } })
  const shown = spawn("sh", ["-c", "sleep 1000; :", PASSWORD], { detached: true })
  await Promise.all([once(told, "spawn"), once(shown, "spawn")])
  assert.deepEqual(look().toSorted(), [`/proc/${told.pid}/environ`, `/proc/${shown.pid}/cmdline`].toSorted())
  told.kill()
  kill(-(shown.pid ?? 0), "SIGKILL")
})

test("a server that is full, and a folder that is, are told, and loading again brings the rest", async () => {
  const machine = await makeMachine(sourceOf(server))
  await machine.backup(machine.store)
  const full = await Server.start(
    "--skip-innodb-file-per-table",
    "--innodb-data-file-path=ibdata1:12M:autoextend:max:24M",
  )
  try {
    let lines = ""
    await assert.rejects(restoreInto(machine, full, { onLine: (line) => void (lines += line) }), (error) => {
      assert.ok(isFault(error, "unavailable"), String(error))
      assert.match(error.message, /1-tables\/shop\.sql is loaded in part at most; it said: .*1114.*full/)
      // The client shows what it could not do, rows and all.
      assert.doesNotMatch(lines + error.message, /INSERT|[0-9a-f]{64}/)
      return true
    })
  } finally {
    await full.end()
  }
  const other = await Server.start()
  try {
    await assert.rejects(restoreInto(machine, other, { staging: "/proc" }), (error) => isFault(error, "unavailable"))
    await restoreInto(machine, other, { verify: true })
    assert.equal(other.sql("CHECKSUM TABLE shop.big"), server.sql("CHECKSUM TABLE shop.big"))
  } finally {
    await other.end()
  }
})
