// A source that goes on only once what it listed has been read: it says so by an empty batch.

import assert from "node:assert/strict"
import { test } from "node:test"
import type { Source, SourceEntry } from "@backup-cloud/format"
import { makeMachine } from "./machine.ts"

test("what was listed before an empty batch is read before the source is asked for more", async () => {
  const own = { mode: 0o600, uid: 0, gid: 0, mtime: "1.000000000", link: null, attributes: new Map<string, string>() }
  const read: string[] = []
  const file = (path: string): SourceEntry => {
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(path)
      read.push(path)
    }
    const open = async () => ({ attributes: own.attributes, bytes: bytes() })
    return { ...own, type: "f", path, size: null, content: { kind: "stream", open } }
  }
  const seen: string[][] = []
  const source: Source = {
    kind: "waiting",
    identity: [],
    async *entries() {
      yield [{ ...own, type: "d", path: ".", size: 0, content: null }]
      yield [file("a"), file("b")]
      yield []
      seen.push([...read])
      yield []
      yield [file("c")]
      seen.push([...read])
      yield []
      seen.push([...read])
    },
  }
  const machine = await makeMachine(source)
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  // What no empty batch follows is listed alone.
  assert.deepEqual(seen, [
    ["a", "b"],
    ["a", "b"],
    ["a", "b", "c"],
  ])
  assert.deepEqual([...(await machine.content(machine.store, "latest")).keys()], ["a", "b", "c"])
})
