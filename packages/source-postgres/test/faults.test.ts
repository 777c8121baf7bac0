// What goes wrong at a server, and in the middle of a run: the run is a failed one and the one before stays the latest, or
// nothing is committed; and the same succeeds once the cause is gone.

import assert from "node:assert/strict"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kill } from "node:process"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { isFault, type Source, type SourceEntry } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { type PostgresSourceOptions, postgresSource } from "../src/index.ts"
import { Cluster } from "./cluster.ts"

const folder = mkdtempSync(join(tmpdir(), "bc-pg-faults-"))
let cluster: Cluster

before(async () => {
  cluster = await Cluster.start()
  cluster.backupRole()
  cluster.sql("postgres", "create database big")
  // More than pipes and slots hold, so that whoever breaks it off does it in the middle.
  cluster.sql(
    "big",
    "create table t as select n, repeat(md5(n::text), 32) as x from generate_series(1, 6000) n; create table z as select 1 as a",
  )
})
after(async () => {
  await cluster.close()
  rmSync(folder, { recursive: true })
})

const now = (): Date => new Date("2026-11-24T08:00:00Z")
const sourceOf = (path: string, more: Partial<PostgresSourceOptions> = {}): Source =>
  postgresSource({ ...cluster.access(path), now, ...more })

async function listed(source: Source): Promise<SourceEntry[]> {
  return (await collect(source.entries(signal))).flat()
}

async function failure(source: Source): Promise<unknown> {
  return await listed(source).then(
    () => null,
    (error: unknown) => error,
  )
}

test("a wrong password, role or database is refused, an absent server is unavailable; the password is told nowhere", async () => {
  const refused: Partial<PostgresSourceOptions>[] = [
    { password: async () => "wrong-pässword" },
    { url: cluster.url("/big", "nobody") },
    { url: cluster.url("/absent") },
    { url: cluster.url("/big?sslmode=require") },
  ]
  for (const more of refused) {
    const error = await failure(sourceOf("/big", more))
    assert.ok(isFault(error, "refused"), String(error))
    assert.match(error.message, /^the PostgreSQL server on 127\.0\.0\.1 does not let us in: /)
    assert.doesNotMatch(error.message, /p.ssword-7c5e|wrong-p/)
  }
  const away = await failure(sourceOf("/big", { url: "postgres://backup@127.0.0.1:1/big" }))
  assert.ok(isFault(away, "unavailable"), String(away))
  const without = await failure(sourceOf("/big", { env: { PATH: folder } }))
  assert.ok(isFault(without, "incomplete"), String(without))
  assert.match(without.message, /psql cannot be started \(ENOENT\)/)
  assert.equal(await failure(sourceOf("/big")), null)
})

test("a password goes only into memory, and is one line", async () => {
  const disk = await failure(sourceOf("/big", { memory: folder }))
  assert.ok(isFault(disk, "unavailable"), String(disk))
  assert.match(disk.message, /is no file system in memory/)
  assert.deepEqual(readdirSync(folder), [])
  for (const password of ["", "a\nb", "a\0"]) {
    const error = await failure(sourceOf("/big", { password: async () => password }))
    assert.ok(isFault(error, "usage"), String(error))
  }
})

/** The same source; `act` is done once, when the first piece of the dump has come and pg_dump has more. */
function interrupted(source: Source, act: () => unknown): Source {
  const interrupt = (entry: SourceEntry): SourceEntry => {
    const { content } = entry
    if (content?.kind !== "stream" || !entry.path.endsWith("/content.sql")) return entry
    const open: typeof content.open = async (s) => {
      const { attributes, bytes } = await content.open(s)
      const watched = async function* (): AsyncGenerator<Uint8Array> {
        let pieces = 0
        for await (const piece of bytes) {
          yield piece
          if (++pieces === 1) await act()
        }
      }
      return { attributes, bytes: watched() }
    }
    return { ...entry, content: { ...content, open } }
  }
  return {
    ...source,
    async *entries(s) {
      for await (const batch of source.entries(s)) yield batch.map(interrupt)
    },
  }
}

/** A machine with one whole run; `next` is done in the middle of each run, the first excepted. */
async function started(): Promise<{ machine: Machine; next: (act: () => unknown) => Promise<string> }> {
  let act: () => unknown = () => undefined
  const machine = await makeMachine(interrupted(sourceOf("/big"), () => act()))
  const run = async (): Promise<string> => {
    machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
    return (await machine.backup(machine.store)).outcome
  }
  assert.equal(await run(), "complete")
  return {
    machine,
    next: async (then) => {
      act = then
      return await run()
    },
  }
}

const ways: Readonly<Record<string, () => unknown>> = {
  "pg_dump is killed": () => {
    const found = cluster.processes("pg_dump")
    assert.equal(found.length, 1)
    for (const pid of found) kill(pid, "SIGKILL")
  },
  "pg_dump is told to end": () => {
    for (const pid of cluster.processes("pg_dump")) kill(pid, "SIGTERM")
  },
  "the connection that holds the snapshot is ended": () => {
    const ended = cluster.sql(
      "postgres",
      "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction' and query like 'select ''null''%'",
    )
    assert.equal(ended.trim(), "t")
  },
  "the server is stopped": async () => {
    await cluster.stop()
  },
}

for (const [what, act] of Object.entries(ways)) {
  test(`${what} in the middle: the run is failed, the one before stays the latest, and the next one is whole`, async () => {
    const { machine, next } = await started()
    const before = await machine.content(machine.store, "latest")
    assert.equal(await next(act), "failed")
    assert.deepEqual(await machine.content(machine.store, "latest"), before)
    assert.deepEqual(
      ["pg_dump", "psql"].flatMap((program) => cluster.processes(program)),
      [],
      "nothing is left running",
    )
    if (what === "the server is stopped") await cluster.run()
    assert.equal(await next(() => undefined), "complete")
  })
}

test("a table that is dropped while it is read is whole in the backup; one that goes before it is locked fails the run", async () => {
  const { machine, next } = await started()
  const dropped = async (): Promise<void> => {
    assert.throws(() => cluster.sql("big", "set lock_timeout = '50ms'; drop table z"), /lock timeout/)
  }
  assert.equal(await next(dropped), "complete")
  assert.match(
    (await machine.content(machine.store, "latest")).get("databases/big/content.sql") ?? "",
    /^COPY public\.z/m,
  )
  const source = sourceOf("/big")
  const [content] = (await listed(source)).flatMap((entry) =>
    entry.path.endsWith("content.sql") ? [entry.content] : [],
  )
  assert.ok(content?.kind === "stream")
  // Whoever drops it has not committed when the tables are listed, and has when they are to be locked.
  const dropping = cluster.hold("big", "begin; drop table z")
  await dropping.ready
  const read = content.open(signal).then(async ({ bytes }) => await collect(bytes))
  while (cluster.sql("postgres", "select count(*) from pg_stat_activity where wait_event_type = 'Lock'").trim() === "0")
    await sleep(10)
  // Watched before it can happen.
  const failed = assert.rejects(
    read,
    (error) => isFault(error, "incomplete") && /"public\.z" does not exist|relation "public\.z"/.test(error.message),
  )
  await dropping.commit()
  await failed
  assert.equal(await next(() => undefined), "complete")
})

test("a dump that ends with status 0 and without the words that it is complete has broken off", async () => {
  const tools = join(folder, "tools")
  mkdirSync(tools)
  const { PATH = "" } = cluster.access().env
  for (const program of ["psql", "pg_dump", "pg_dumpall", "pg_isready"])
    symlinkSync(join(PATH, program), join(tools, program))
  const run = async (): Promise<string> => {
    const machine = await makeMachine(sourceOf("/big", { env: { PATH: `${tools}:/usr/bin:/bin` } }))
    return (await machine.backup(machine.store)).outcome
  }
  assert.equal(await run(), "complete")
  rmSync(join(tools, "pg_dump"))
  writeFileSync(join(tools, "pg_dump"), `#!/bin/sh\n${join(PATH, "pg_dump")} "$@" | head -c 100000\n`)
  chmodSync(join(tools, "pg_dump"), 0o755)
  assert.equal(await run(), "failed")
})
