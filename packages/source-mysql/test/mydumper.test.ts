// Rows that mydumper dumps: the contract of all sources, everything comes back of both runs, and what is in the files.

import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import { after, before, beforeEach, test } from "node:test"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { fillPlain, makeSaver, restoreInto, sourceOf } from "./helpers.ts"
import { Server } from "./server.ts"

let server: Server
let other: Server

before(async () => {
  server = await Server.start("--log-bin=binlog", "--server-id=1")
  other = await Server.start()
})
after(async () => {
  await server.end()
  await other.end()
})
beforeEach(() => {
  other.reset()
  server.reset()
  makeSaver(server)
  server.sql("GRANT RELOAD ON *.* TO saver")
})

const mydumper = { threads: 3 }
const staged = (): string[] => readdirSync("/dev/shm").filter((name) => name.startsWith("backup-cloud-mydumper-"))

async function backUp(machine: Machine): Promise<string> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  let said = ""
  const onEvent = (event: object): void => void (said += "why" in event ? JSON.stringify(event) : "")
  const { outcome, run } = await machine.backup(machine.store, { onEvent })
  assert.equal(outcome, "complete", said)
  assert.deepEqual(staged(), [])
  return run
}

test("everything comes back into an empty server, of both runs, and reads back as it was", async () => {
  fillPlain(server)
  const machine = await makeMachine(sourceOf(server, { mydumper }))
  const before = server.portrait()
  assert.ok(before.length > 40)
  const first = await backUp(machine)
  server.sql(
    "UPDATE shop.customers SET note = CONCAT(IFNULL(note, ''), '!'); DELETE FROM shop.orders WHERE id MOD 7 = 3; DROP DATABASE empty;" +
      "DROP PROCEDURE shop.note; CREATE PROCEDURE shop.note() SELECT 2; SELECT NEXTVAL(shop.numbers); ALTER TABLE shop.log ADD more INT FIRST",
  )
  const changed = server.portrait()
  const second = await backUp(machine)
  for (const [run, portrait] of [
    [second, changed],
    [first, before],
  ] as const) {
    const result = await restoreInto(machine, other, { run })
    assert.deepEqual([result.lost, result.problems], [[], []])
    assert.deepEqual(other.portrait(), portrait)
    other.reset()
  }
  assert.deepEqual(await machine.problems(machine.store), [])
})
