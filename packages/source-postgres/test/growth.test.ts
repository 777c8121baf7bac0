// What a change costs, and no room where a restore goes: a database large enough that pieces of it stay as they are.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { signal } from "../../trust/test/archive.ts"
import { postgresSource, restoreDatabases } from "../src/index.ts"
import { filesOf, restoring } from "./archive.ts"
import { Cluster } from "./cluster.ts"

const MiB = 1_048_576
/** Of the source: the same cuts in each run of the test, so that it does not depend on luck. */
const secret = new Uint8Array(32).fill(7)
/** About 1 KiB each. */
const ROWS = 196_608

let cluster: Cluster
let machine: Machine

before(async () => {
  cluster = await Cluster.start()
  cluster.backupRole()
  cluster.role("restorer", "superuser")
  cluster.sql("postgres", "create database big")
  const noise = "select string_agg(md5(n::text || k), '') from generate_series(1, 30) k"
  cluster.sql(
    "big",
    `create table t as select n as id, (${noise}) as a, 'row ' || n as b from generate_series(1, ${ROWS}) n`,
  )
  machine = await makeMachine(postgresSource({ ...cluster.access("/big"), now: () => machine.clock.now }))
})
after(async () => {
  await cluster.close()
})

/** A whole run; the bytes that it added to the archive. */
async function added(): Promise<number> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  const size = async (): Promise<number> => {
    let bytes = 0
    for await (const object of machine.store.list("", signal)) bytes += object.size
    return bytes
  }
  const before = await size()
  assert.equal((await machine.backup(machine.store, { secret })).outcome, "complete")
  return (await size()) - before
}

test("one row of a hundred changed, where rows lie together, adds little; no change adds less", async () => {
  const whole = await added()
  // Hexadecimal noise, of which compression takes half.
  assert.ok(whole > 90 * MiB, `${whole} bytes`)
  const same = await added()
  cluster.sql("big", `update t set b = b || ' changed' where id between ${ROWS / 2} and ${ROWS / 2 + ROWS / 100}`)
  const changed = await added()
  // At the places where it changed at most two chunks more, which count for less the larger a database is.
  assert.ok(changed <= whole * 0.05 + 2 * 4 * MiB, `${changed} of ${whole} bytes`)
  assert.ok(same <= changed, `${same} bytes for nothing, ${changed} for a change`)
})

test("no room where a restore goes: it fails and says so, and succeeds once there is room", async () => {
  const disk = join(cluster.folder, "disk")
  const mount = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync("mount", [...args, disk], { encoding: "utf8" })
    assert.equal(status, 0, `this test needs the right to mount a small file system, as root has it: ${stderr}`)
  }
  mkdirSync(disk)
  mount("-t", "tmpfs", "-o", `size=${20 * MiB}`, "tmpfs")
  try {
    const folder = cluster.folderFor("disk/space")
    cluster.sql("postgres", `create tablespace small location '${folder}'`)
    const into = async (): Promise<void> => {
      cluster.sql("postgres", "drop database if exists room")
      cluster.sql("postgres", "create database room tablespace small")
      const wanted = (path: string): boolean => path.startsWith("databases/")
      await restoreDatabases(filesOf(machine, "latest", wanted), restoring(cluster, "/room").options, signal)
    }
    const error: unknown = await into().catch((e: unknown) => e)
    assert.ok(isFault(error, "incomplete"), String(error))
    // What the server says depends on whether a part of a page found room.
    assert.match(
      error.message,
      /(?:No space left on device|could not extend file).*what had come until then is in the database room$/,
    )
    mount("-o", `remount,size=${500 * MiB}`)
    await into()
    const hash = "select count(*), md5(string_agg(md5(t::text), '' order by id)) from t"
    assert.equal(cluster.sql("room", hash), cluster.sql("big", hash))
    cluster.sql("postgres", "drop database room")
    cluster.sql("postgres", "drop tablespace small")
  } finally {
    await cluster.stop()
    spawnSync("umount", [disk])
  }
})
