// What the next day adds: a table of 64 MiB of which 1 % of the rows have changed, and then none.

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { parseObjectLine } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { MORE_GRANTS, makeSaver, sourceOf } from "./helpers.ts"
import { Server } from "./server.ts"

let server: Server
before(async () => {
  server = await Server.start("--log-bin=binlog", "--server-id=1")
  makeSaver(server)
  server.sql(MORE_GRANTS)
})
after(async () => {
  await server.end()
})

/** Bytes of the volumes that a run adds. */
async function added(machine: Machine): Promise<number> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  const { outcome } = await machine.backup(machine.store)
  assert.equal(outcome, "complete")
  const { objects } = await machine.receipt(machine.store, "latest")
  const volumes = objects.map(parseObjectLine).filter(({ name }) => name.startsWith("volume-"))
  return volumes.reduce((sum, { length }) => sum + length, 0)
}

for (const [by, options] of [
  ["the dump program", {}],
  ["mydumper", { mydumper: { threads: 2, limit: 100_000_000 } }],
] as const)
  test(`by ${by}, 1 % of the rows adds at most 5 %, and nothing but the place in the binary log next to nothing`, async () => {
    server.sql(
      "CREATE OR REPLACE DATABASE shop; USE shop; CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, v VARBINARY(1100));" +
        "INSERT INTO t SELECT seq, '2026-11-24', RANDOM_BYTES(1000) FROM seq_1_to_65000",
    )
    const machine = await makeMachine(sourceOf(server, options))
    const whole = await added(machine)
    assert.ok(whole > 60_000_000, String(whole))
    // The rows of a day lie together; they grow and shrink, so that all that follows moves.
    server.sql(
      "UPDATE shop.t SET v = CONCAT(RANDOM_BYTES(600 + id MOD 400), 'x'), at = NOW() WHERE id BETWEEN 30000 AND 30649",
    )
    const changed = await added(machine)
    assert.ok(changed > 0 && changed <= whole / 20, `${changed} of ${whole}`)
    server.sql("CREATE TABLE shop.empty (id INT)")
    assert.ok((await added(machine)) <= whole / 20)
  })
