// Databases as a source, of a real server: the contract of all sources in whole runs, and what is special of PostgreSQL.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { isFault, type Source, type SourceEntry } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { type PostgresSourceOptions, postgresSource } from "../src/index.ts"
import { Cluster } from "./cluster.ts"
import { makeSample, plain, ROLES } from "./sample.ts"

let cluster: Cluster
let worlds = 0

before(async () => {
  cluster = await Cluster.start()
  cluster.backupRole()
  cluster.sql("postgres", ROLES)
})
after(async () => {
  await cluster.close()
})

const now = (): Date => new Date("2026-11-24T08:00:00.700Z")
const sourceOf = (path: string, more: Partial<PostgresSourceOptions> = {}): Source =>
  postgresSource({ ...cluster.access(path), now, ...more })

/** What differs between two runs of the same: the random word of a dump, and where in time the facts were read. */
function steady(text: string): string {
  return plain(text).replace(/"(lsn|snapshot|taken)": "[^"]+"/g, '"$1": ""')
}

function steadySource(source: Source): Source {
  const steadyEntry = (entry: SourceEntry): SourceEntry => {
    const { content } = entry
    if (content?.kind !== "stream") return entry
    const open: typeof content.open = async (s) => {
      const { attributes, bytes } = await content.open(s)
      const whole = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from(steady(Buffer.concat(await collect(bytes)).toString("latin1")), "latin1")
      }
      return { attributes, bytes: whole() }
    }
    return { ...entry, content: { ...content, open } }
  }
  return {
    ...source,
    async *entries(s) {
      for await (const batch of source.entries(s)) yield batch.map(steadyEntry)
    },
  }
}

sourceContract("postgres", { broken: "failed", loses: false }, async () => {
  const name = `world ${++worlds}`
  makeSample(cluster, name)
  const at = `databases/${name}`
  const rows = (): object => {
    const shop = ["cache", "items", "log_2025", "log_rest", '"odd "".name"', "orders"]
    const counted = ["public.mail", ...shop.map((table) => `shop.${table}`)].map((table) => [
      table,
      Number(cluster.sql(name, `select count(*) from only ${table}`)),
    ])
    return Object.fromEntries(counted) as object
  }
  const version = cluster.sql(name, "show server_version").trim()
  return {
    source: steadySource(sourceOf(`/${encodeURIComponent(name)}`)),
    content: () => {
      const facts = {
        ...{ database: name, lsn: "", taken: "", standby: false, snapshot: "", server_version: version },
        rows: rows(),
      }
      return new Map([
        [`${at}/content.sql`, steady(cluster.tool("pg_dump", name))],
        [
          `${at}/create.sql`,
          steady(cluster.tool("pg_dump", "-Cs", "-E", "SQL_ASCII", "-t", "pg_class", "-T", "pg_class", name)),
        ],
        [`${at}/facts.json`, `${JSON.stringify(facts, null, 2)}\n`],
        ["globals.sql", steady(cluster.tool("pg_dumpall", "-g", "--encoding=SQL_ASCII"))],
      ])
    },
    attributes: () => ({}),
    change: async () => {
      cluster.sql(name, "update shop.items set price = price + 1 where id between 100 and 120")
      return `${at}/content.sql`
    },
    // pg_dump comes to what it may not read after it has put out every table.
    breakOff: async () => {
      cluster.sql(name, "select lo_from_bytea(77, 'secret')")
      return async () => {
        cluster.sql(name, "select lo_unlink(77)")
      }
    },
  }
})

async function listed(source: Source): Promise<SourceEntry[]> {
  return (await collect(source.entries(signal))).flat()
}

test("all databases but templates are listed, below names that a folder can have, in the order of the catalogue", async () => {
  const odd = ["a/b", "..", "%2E", "a=b host=nowhere.invalid", "postgres://nowhere.invalid/x", 'quo"te\\', "ä\t"]
  for (const name of odd) cluster.sql("postgres", `create database "${name.replaceAll('"', '""')}"`)
  const mine = (name: string): boolean => odd.includes(name) || name === "postgres"
  const source = sourceOf("/", { chosen: mine })
  const entries = await listed(source)
  assert.deepEqual(
    entries.filter((entry) => entry.type === "d").map((entry) => Buffer.from(entry.path, "latin1").toString()),
    [
      ...[
        ".",
        "databases",
        "databases/%252E",
        "databases/%2E%2E",
        "databases/a%2Fb",
        "databases/a=b host=nowhere.invalid",
      ],
      ...["databases/postgres", "databases/postgres:%2F%2Fnowhere.invalid%2Fx", 'databases/quo"te\\', "databases/ä%09"],
    ],
  )
  const machine = await makeMachine(source)
  const said: unknown[] = []
  const result = await machine.backup(machine.store, { onEvent: (event) => said.push(event) })
  assert.equal(result.outcome, "complete", JSON.stringify(said))
  const content = await machine.content(machine.store, "latest")
  const named = [...content].flatMap(([path, text]) => (path.endsWith(".json") ? [nameIn(text)] : []))
  assert.deepEqual(named.toSorted(), [...odd, "postgres"].toSorted())
  await assert.rejects(listed(sourceOf("/", { chosen: () => false })), (error) => isFault(error, "not-found"))
})

const nameIn = (facts: string): unknown =>
  (JSON.parse(Buffer.from(facts, "latin1").toString()) as { database: unknown }).database

test("all parts of a database are of one moment, also what is changed while they are read", async () => {
  makeSample(cluster, "moment")
  const entries = await listed(sourceOf("/moment"))
  const [dump, , facts] = ["content.sql", "create.sql", "facts.json"].map((part) =>
    streamOf(entries, `databases/moment/${part}`),
  )
  const first = await dump!.next()
  cluster.sql("moment", "insert into shop.orders (placed) values ('2025-01-01'); create table shop.new (a int)")
  const text = Buffer.concat([first.value as Uint8Array, ...(await rest(dump!))]).toString()
  const recorded = JSON.parse(Buffer.concat(await rest(facts!)).toString()) as {
    rows: Record<string, number>
    lsn: string
  }
  assert.equal(recorded.rows["shop.orders"], 500)
  assert.match(recorded.lsn, /^[0-9A-F]+\/[0-9A-F]+$/)
  const [, copied = ""] = /^COPY shop\.orders .*\n((?:.*\n)*?)\\\.$/m.exec(text) ?? []
  assert.equal(copied.trim().split("\n").length, 500)
  assert.doesNotMatch(text, /shop\.new/)
  assert.equal(cluster.sql("moment", "select count(*) from shop.orders").trim(), "501")
  assert.doesNotMatch(cluster.log, /unexpected EOF/, "programs take leave of the server")
})

function streamOf(entries: readonly SourceEntry[], path: string): AsyncIterator<Uint8Array> {
  const content = entries.find((entry) => entry.path === path)?.content
  if (content?.kind !== "stream") throw new Error(`${path} is not listed as a stream`)
  const bytes = async function* (): AsyncGenerator<Uint8Array> {
    yield* (await content.open(signal)).bytes
  }
  return bytes()
}

async function rest(bytes: AsyncIterator<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = []
  for (;;) {
    const next = await bytes.next()
    if (next.done === true) return pieces
    pieces.push(Buffer.from(next.value))
  }
}

test("without the right to read password hashes roles come back without them, and with it they have them", async () => {
  cluster.role("clerk", "")
  const globals = async (more: Partial<PostgresSourceOptions>): Promise<string> =>
    Buffer.concat(await rest(streamOf(await listed(sourceOf("/postgres", more)), "globals.sql"))).toString()
  const url = cluster.url("/postgres", "clerk")
  await assert.rejects(globals({ url }), (error) => isFault(error, "incomplete"))
  const without = await globals({ url, rolePasswords: false })
  assert.match(without, /^ALTER ROLE clerk WITH (?!.*PASSWORD)/m)
  assert.match(await globals({}), /^ALTER ROLE clerk WITH .*PASSWORD 'SCRAM-/m)
})

test("with less than the rights of the page a run is never whole, and with them it is", async () => {
  cluster.sql("postgres", "create database locked")
  cluster.sql("locked", "create table t as select 1 as a; alter table t enable row level security")
  const outcome = async (): Promise<string> => {
    const machine = await makeMachine(sourceOf("/locked", { url: cluster.url("/locked", "lesser") }))
    return (await machine.backup(machine.store)).outcome
  }
  cluster.role("lesser", "")
  assert.equal(await outcome(), "failed")
  cluster.sql("postgres", "grant pg_read_all_data to lesser")
  assert.equal(await outcome(), "failed")
  cluster.sql("postgres", "alter role lesser bypassrls; revoke pg_read_all_data from lesser")
  assert.equal(await outcome(), "failed")
  cluster.sql("postgres", "grant pg_read_all_data to lesser")
  assert.equal(await outcome(), "complete")
})
