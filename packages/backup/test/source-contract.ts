/* eslint-disable @typescript-eslint/no-floating-promises -- the runner awaits what `test` returns */

// What every source of streams does in a whole run, whatever it reads: what it yields comes back; what did not change is
// not read again; what breaks off is never the latest; what cannot be had takes nothing else with it.

import assert from "node:assert/strict"
import { test } from "node:test"
import { type CatalogueEntry, isFault, type Source, type SourceEntry } from "@backup-cloud/format"
import { catalogueEntries, openRoot } from "../../restore/src/index.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { type Machine, makeMachine } from "./machine.ts"

/** Something to back up, which can be changed and broken. */
export interface SourceWorld {
  readonly source: Source
  /** What there is now: content by path, both with a character for each byte. At least two entries. */
  content(): ReadonlyMap<string, string>
  /** Attributes that an entry has besides others. @param path one of `content` */
  attributes(path: string): Readonly<Record<string, string>>
  /** Changes the content of one entry; its path. */
  change(): Promise<string>
  /** From now on what produces the content breaks off amidst it, until the function that comes back is called. */
  breakOff(): Promise<() => Promise<void>>
  /** From now on one entry is listed but cannot be had; absent of a kind whose entries are had all or none. */
  lose?(): Promise<Lost>
}

interface Lost {
  readonly path: string
  /** What attribute `error` says. */
  readonly word: string
}

export interface SourceKind {
  /** How a run ends whose source breaks off: committed as `failed`, or with an error, and nothing committed. */
  readonly broken: "failed" | "unavailable"
  /** Whether an entry can be lost and the others be had; its worlds have `lose`. */
  readonly loses: boolean
}

/** @param open makes a world of its own for each test */
export function sourceContract(label: string, { broken, loses }: SourceKind, open: () => Promise<SourceWorld>): void {
  test(`${label}: content and attributes come back, and nothing is wrong with the archive`, async () => {
    const { world, machine } = await start(open)
    assert.ok(world.content().size >= 2, "two entries, or this shows little")
    await compare(world, machine)
    assert.deepEqual(await machine.problems(machine.store), [])
  })

  test(`${label}: the second run reads what changed, and the first stays as it was`, async () => {
    const { world, machine, opened } = await start(open)
    const before = new Map(world.content())
    const first = (await machine.runs(machine.store)).heads[0]?.run ?? ""
    assert.deepEqual(opened.splice(0).toSorted(), [...before.keys()].toSorted(), "the first run reads everything")
    await again(machine)
    const everything = world.source.identity.length === 0
    assert.deepEqual(opened.splice(0).toSorted(), everything ? [...before.keys()].toSorted() : [])
    const path = await world.change()
    assert.notEqual(world.content().get(path), before.get(path))
    await again(machine)
    assert.deepEqual(opened.splice(0).toSorted(), everything ? [...before.keys()].toSorted() : [path])
    await compare(world, machine)
    assert.deepEqual(sorted(await machine.content(machine.store, first)), sorted(before))
  })

  test(`${label}: what breaks off is never the latest, and the next run is whole`, async () => {
    const { world, machine } = await start(open)
    const before = new Map(world.content())
    await world.change()
    const mend = await world.breakOff()
    machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
    if (broken === "failed") assert.equal((await machine.backup(machine.store)).outcome, "failed")
    else await assert.rejects(machine.backup(machine.store), (error) => isFault(error, broken))
    assert.deepEqual(sorted(await machine.content(machine.store, "latest")), sorted(before))
    await mend()
    await again(machine)
    await compare(world, machine)
  })

  if (!loses) return
  test(`${label}: an entry that cannot be had is recorded, and the others are kept`, async () => {
    const { world, machine } = await start(open)
    if (world.lose === undefined) throw new Error("the world has nothing to lose")
    await world.change()
    const { path, word } = await world.lose()
    machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
    const result = await machine.backup(machine.store)
    assert.equal(result.outcome, "partial")
    assert.deepEqual([...result.errors], [[word, 1]])
    const entries = await entriesOf(machine)
    assert.deepEqual(
      entries
        .filter((entry) => entry.attributes.has("error"))
        .map((entry) => [entry.path, entry.attributes.get("error")]),
      [[path, word]],
    )
    const others = new Map(world.content())
    others.delete(path)
    const whole = entries.filter((entry) => entry.type === "f" && entry.sha256 !== null).map((entry) => entry.path)
    assert.deepEqual(whole.toSorted(), [...others.keys()].toSorted())
  })
}

interface Started {
  readonly world: SourceWorld
  readonly machine: Machine
  /** Paths whose content was asked for. */
  readonly opened: string[]
}

/** A world of which there is one complete run. */
async function start(open: () => Promise<SourceWorld>): Promise<Started> {
  const world = await open()
  const opened: string[] = []
  const machine = await makeMachine(watched(world.source, opened))
  await again(machine)
  return { world, machine, opened }
}

async function again(machine: Machine): Promise<void> {
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
}

async function compare(world: SourceWorld, machine: Machine): Promise<void> {
  assert.deepEqual(sorted(await machine.content(machine.store, "latest")), sorted(world.content()))
  for (const entry of await entriesOf(machine)) {
    if (entry.type !== "f") continue
    const expected = world.attributes(entry.path)
    const actual = Object.fromEntries(Object.keys(expected).map((name) => [name, entry.attributes.get(name)]))
    assert.deepEqual(actual, expected, entry.path)
  }
}

async function entriesOf(machine: Machine): Promise<CatalogueEntry[]> {
  const view = await machine.view(machine.store, "latest")
  return await collect(catalogueEntries(view, await openRoot(view, signal), signal))
}

const sorted = (map: ReadonlyMap<string, string>): [string, string][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

/** The same source; `opened` gets the path of each entry whose content is asked for. */
function watched(source: Source, opened: string[]): Source {
  const watch = (entry: SourceEntry): SourceEntry => {
    const { content } = entry
    if (content?.kind !== "stream") return entry
    const open: typeof content.open = (s) => {
      opened.push(entry.path)
      return content.open(s)
    }
    return { ...entry, content: { ...content, open } }
  }
  return {
    ...source,
    async *entries(s) {
      for await (const batch of source.entries(s)) yield batch.map(watch)
    },
  }
}
