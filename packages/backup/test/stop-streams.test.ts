// A run that reads over a network and is told to stop: it does not wait for what does not come, keeps what it has read to
// its end, and the next run finds again what it stored of a file that it had not.

import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import type { Source, SourceEntry } from "@backup-cloud/format"
import { makeMachine } from "./machine.ts"

const MiB = 1_048_576
const about = { mode: 0o600, uid: 0, gid: 0, mtime: "1700000000.000000000", link: null, attributes: new Map() }

/** A source of files by name, of which what `hold` says stays away until whoever reads gives up. */
class Network {
  readonly files = new Map<string, Uint8Array>()
  readonly opened: string[] = []
  /** By name: how many bytes come before nothing more does. */
  readonly held = new Map<string, number>()
  /** Told when somebody waits for what does not come. */
  onHeld = (): void => undefined

  readonly source: Source = {
    kind: "memory",
    identity: ["version"],
    entries: () => this.#entries(),
  }

  async *#entries(): AsyncGenerator<SourceEntry[]> {
    yield [{ ...about, type: "d", path: ".", mode: 0o700, size: 0, content: null }]
    yield [...this.files].map(
      ([path, bytes]): SourceEntry => ({
        ...{ ...about, type: "f", path, size: bytes.length },
        attributes: new Map([["version", "1"]]),
        content: {
          kind: "stream",
          open: async (signal) => {
            this.opened.push(path)
            return { attributes: new Map(), bytes: this.#bytes(path, bytes, signal) }
          },
        },
      }),
    )
  }

  async *#bytes(path: string, bytes: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const end = this.held.get(path) ?? bytes.length
    for (let at = 0; at < end; at += 65_536) yield bytes.subarray(at, Math.min(end, at + 65_536))
    if (end === bytes.length) return
    await new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        reject(signal.reason as Error)
      })
      this.onHeld()
    })
  }
}

async function stoppedRun(network: Network) {
  const machine = await makeMachine(network.source)
  const stop = new AbortController()
  network.onHeld = () => {
    stop.abort()
  }
  const stopped = await machine.backup(machine.store, { stop: stop.signal })
  assert.equal(stopped.outcome, "checkpoint")
  assert.deepEqual(await machine.problems(machine.store), [])
  return { machine, stopped }
}

test("it keeps the files before the one that does not come, though they are read together", async () => {
  const network = new Network()
  for (const name of ["a", "b", "c", "d"]) network.files.set(name, randomBytes(6 * MiB))
  for (const name of ["e", "f", "g", "h"]) network.files.set(name, randomBytes(2 * MiB))
  network.held.set("g", 1 * MiB)
  const { machine, stopped } = await stoppedRun(network)
  assert.ok(stopped.entries >= 5, `the top and the first files at least, not ${stopped.entries}`)
  assert.ok(stopped.advanced)
  network.held.clear()
  network.opened.length = 0
  const next = await machine.backup(machine.store)
  assert.equal(next.outcome, "complete")
  assert.equal(network.opened.length, 9 - stopped.entries)
  const content = await machine.content(machine.store, "latest")
  for (const [name, bytes] of network.files)
    assert.ok(Buffer.from(content.get(name) ?? "", "latin1").equals(bytes), name)
})

test("files of one job that were read to their end are kept, and the one after them is read again", async () => {
  const network = new Network()
  for (let i = 0; i < 24; i++) network.files.set(`f${String(i).padStart(2, "0")}`, randomBytes(MiB))
  network.held.set("f18", 1000)
  const { machine, stopped } = await stoppedRun(network)
  assert.ok(stopped.entries > 8 && stopped.entries <= 19, `${stopped.entries} entries`)
  network.held.clear()
  network.opened.length = 0
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  assert.equal(network.opened.length, 25 - stopped.entries)
})

test("what was stored of an unfinished file is not stored again, over any number of runs", async () => {
  const network = new Network()
  const whole = randomBytes(40 * MiB)
  network.files.set("large", whole)
  network.held.set("large", 16 * MiB)
  const { machine, stopped } = await stoppedRun(network)
  assert.ok(stopped.stored > 12 * MiB, `${stopped.stored} stored`)
  network.held.set("large", 30 * MiB)
  const stop = new AbortController()
  network.onHeld = () => {
    stop.abort()
  }
  const second = await machine.backup(machine.store, { stop: stop.signal })
  assert.equal(second.outcome, "checkpoint")
  assert.ok(second.stored < 24 * MiB && second.advanced, `${second.stored} stored again`)
  network.held.clear()
  const last = await machine.backup(machine.store)
  assert.equal(last.outcome, "complete")
  assert.ok(last.stored < 24 * MiB, `${last.stored} stored in the end`)
  assert.deepEqual(await machine.problems(machine.store), [])
  const content = await machine.content(machine.store, "latest")
  assert.ok(Buffer.from(content.get("large") ?? "", "latin1").equals(whole))
})

test("a run that gets no further than the one before says that it did not advance", async () => {
  const network = new Network()
  network.files.set("large", randomBytes(20 * MiB))
  network.held.set("large", 10 * MiB)
  const { machine, stopped } = await stoppedRun(network)
  assert.ok(stopped.advanced)
  const stop = new AbortController()
  network.onHeld = () => {
    stop.abort()
  }
  const second = await machine.backup(machine.store, { stop: stop.signal })
  assert.deepEqual([second.outcome, second.advanced], ["checkpoint", false])
  network.held.clear()
  const last = await machine.backup(machine.store)
  assert.deepEqual([last.outcome, last.advanced], ["complete", true])
})
