// What goes wrong while mydumper dumps: it is killed, a table goes, nobody reads. Nothing of it is the latest run, nothing is
// left running or lying in memory, and no password is anywhere.

import assert from "node:assert/strict"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { kill } from "node:process"
import { after, before, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type Fault, isFault, type Source } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { signal } from "../../trust/test/archive.ts"
import { findMydumper } from "../src/mydumper.ts"
import { RowsDump } from "../src/rows-dump.ts"
import { byContent } from "../src/table-rows.ts"
import { amidst, contentOf, MORE_GRANTS, makeSaver, PASSWORD, sourceOf } from "./helpers.ts"
import { children, programOf, staged } from "./processes.ts"
import { PATH, Server } from "./server.ts"

const MB = 1_000_000
const LIMIT = 20 * MB
let server: Server

before(async () => {
  server = await Server.start()
  makeSaver(server)
  server.sql(MORE_GRANTS)
})
after(async () => {
  await server.end()
})

function fill(): void {
  // 60 MB: some times the limit.
  server.sql(
    "CREATE OR REPLACE DATABASE shop; USE shop; CREATE TABLE big (id INT PRIMARY KEY, v TEXT); CREATE TABLE small (id INT);" +
      "INSERT INTO big SELECT seq, REPEAT(SHA2(seq, 256), 30) FROM seq_1_to_30000; INSERT INTO small VALUES (1)",
  )
}

const options = { mydumper: { threads: 1, limit: LIMIT } }
const FIRST = "1b-rows/00000001-shop.big.sql"
const running = (): number[] => children().filter((id) => /\/(?:mydumper|setpriv)$/.test(programOf(id)))

/** A complete run, and one in whose midst something happens: what it says, of a fault that made it a failed one. */
async function breakAmidst(path: string, happen: () => void): Promise<string> {
  fill()
  const whole = sourceOf(server, options)
  let source: Source = whole
  const machine = await makeMachine({ ...whole, entries: (s) => source.entries(s) })
  const first = await machine.backup(machine.store)
  assert.equal(first.outcome, "complete")
  source = amidst(whole, path, 1, happen)
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  let said = ""
  const onEvent = (event: object): void => void (said += "why" in event ? JSON.stringify(event) : "")
  assert.equal((await machine.backup(machine.store, { onEvent })).outcome, "failed")
  assert.equal((await machine.receipt(machine.store, "latest")).run, first.run, "the latest is the one before")
  assert.deepEqual([running(), staged()], [[], []])
  return said
}

test("mydumper that is killed makes a failed run", async () => {
  const said = await breakAmidst(FIRST, () => {
    const [program = 0, ...others] = running()
    assert.deepEqual(others, [])
    kill(program, "SIGKILL")
  })
  assert.match(said, /mydumper was ended by SIGKILL; the backup is not whole/)
})

test("a table that is dropped before its turn makes a failed run", async () => {
  const said = await breakAmidst(FIRST, () => void server.sql("DROP TABLE shop.small"))
  assert.match(said, /mydumper ended with exit status 1; the backup is not whole; it said: .*shop\.small/)
})

test("a table that is altered when its rows are dumped and its definition may be the new one makes a failed run", async () => {
  const said = await breakAmidst("2-code/shop.sql", () => void server.sql("ALTER TABLE shop.small ADD more INT FIRST"))
  assert.match(said, /shop\.small was altered or dropped while it was dumped/)
})

test("while nobody reads, mydumper is held, and what lies in memory stays within the limit; then all of it comes", async () => {
  fill()
  const access = { ...server.access("saver", PASSWORD), path: PATH }
  const tool = await findMydumper(PATH)
  const chosen = { schemas: ["shop"], skip: [], threads: 1 }
  await using dump = await RowsDump.start({
    ...{ tool, access, chosen, signal, limit: LIMIT, endsPart: byContent },
    tables: ["shop.big", "shop.small"],
  })
  const folder = staged()[0] ?? ""
  const size = (): number =>
    ["out", "cut"]
      .flatMap((name) => readdirSync(join(folder, name)).map((file) => join(folder, name, file)))
      .reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0)
  const state = (): string => {
    const [program] = running()
    return program === undefined ? "" : (readFileSync(`/proc/${program}/stat`, "latin1").split(" ")[2] ?? "")
  }
  for (let tries = 0; state() !== "T"; tries++) {
    assert.ok(tries < 1000, "it is never held")
    await sleep(10)
  }
  await sleep(300)
  // What it wrote between two looks, and a file that is taken lies there twice for a moment.
  const before = size()
  assert.ok(before < LIMIT + 20 * MB, String(before))
  let bytes = 0
  let most = 0
  for await (const files of dump.files()) {
    for (const file of files) for await (const piece of dump.read(file)) bytes += piece.length
    most = Math.max(most, size())
  }
  assert.ok(bytes > 57 * MB, String(bytes))
  assert.ok(most < LIMIT + 20 * MB, String(most))
  assert.ok(dump.held >= 1)
  assert.equal(dump.stats.get("shop")?.get("big")?.rows, 30_000)
})

test("a wrong password commits nothing; mydumper itself that is given it is a dump that broke off", async () => {
  fill()
  const access = { password: async () => "guess work" }
  const machine = await makeMachine(sourceOf(server, { ...options, ...access }))
  await assert.rejects(machine.backup(machine.store), (error) => isFault(error, "refused"))
  assert.equal((await machine.runs(machine.store)).runs.length, 0)
  const said = (fault: Fault, what: RegExp) => (error: unknown) => {
    assert.ok(isFault(error, fault) && what.test(error.message) && !error.message.includes("guess"), String(error))
    return true
  }
  const dump = await RowsDump.start({
    ...{ tool: await findMydumper(PATH), access: { ...server.access("saver", null), ...access }, signal },
    ...{ chosen: { schemas: ["shop"], skip: [], threads: 1 }, tables: [], limit: LIMIT, endsPart: byContent },
  })
  await assert.rejects(dump.files().next(), said("incomplete", /mydumper ended with exit status 1; .*Access denied/))
  await dump[Symbol.asyncDispose]()
})

test("the password is in no argument, environment or file while mydumper runs", async () => {
  fill()
  const secret = "pass'word"
  let looks = 0
  const found: string[] = []
  const look = (): void => {
    looks++
    const [program] = running()
    assert.ok(program !== undefined)
    const files = staged().flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
    const own = readdirSync("/dev/shm").filter((name) => name.startsWith("backup-cloud-mysql-"))
    const places = [`/proc/${program}/cmdline`, `/proc/${program}/environ`, ...own.map((name) => `/dev/shm/${name}`)]
    for (const file of [...places, ...files])
      if (statSync(file).isFile() && readFileSync(file, "latin1").includes(secret)) found.push(file)
    assert.ok(readFileSync(`/proc/${program}/fd/3`, "latin1").includes("pass'word"), "it was told by the descriptor")
  }
  const content = await contentOf(amidst(sourceOf(server, options), FIRST, 1, look))
  assert.equal(looks, 1)
  assert.deepEqual(found, [])
  assert.ok(content.size > 4)
})

test("a run that is stopped leaves no program and no file behind", async () => {
  fill()
  const abort = new AbortController()
  const source = amidst(sourceOf(server, options), FIRST, 1, () => {
    assert.equal(running().length, 1)
    abort.abort(new Error("enough"))
  })
  const machine = await makeMachine(source)
  await assert.rejects(machine.backup(machine.store, { signal: abort.signal }), /enough/)
  assert.deepEqual([running(), staged()], [[], []])
})

test("mydumper that stands still, as it does now and then, is ended, and its dump broke off", async () => {
  fill()
  const tool = await findMydumper(PATH)
  const dump = await RowsDump.start({
    ...{ tool, access: server.access("saver", PASSWORD), signal, limit: 10 * LIMIT, endsPart: byContent, still: 300 },
    ...{ chosen: { schemas: ["shop"], skip: [], threads: 1 }, tables: ["shop.big", "shop.small"] },
  })
  for (const program of running()) kill(program, "SIGSTOP")
  const all = async (): Promise<void> => {
    for await (const files of dump.files()) assert.ok(files.length > 0)
  }
  await assert.rejects(all(), /mydumper stood still and was ended/)
  await dump[Symbol.asyncDispose]()
  assert.deepEqual([running(), staged()], [[], []])
})
