// Archives that a source itself made to do harm: signed, sealed and released as they should be, but for what they hold.
// None may write outside the target or bring bytes that the catalogue does not vouch for.

import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { Fault } from "@backup-cloud/format"
import { dirTarget } from "../../source-dir/src/target.ts"
import { catalogueEntries, openRoot, planRestore, restore } from "../src/index.ts"
import { type MadeRun, makeWorld, type RunOptions, signal, type TestEntry, top, type World } from "./make-run.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const good: readonly TestEntry[] = [
  top,
  { type: "d", path: "d" },
  { type: "f", path: "d/f", content: bytes("content") },
  { type: "f", path: "e", content: bytes("more") },
]

async function attempt(world: World, run: MadeRun, to: string, ...earlier: readonly MadeRun[]): Promise<void> {
  const view = await world.view(run.run, world.secrets(run, ...earlier))
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  await restore({ view, plan, target: dirTarget({ root: to }), what: run.run, onEvent: () => undefined, signal })
}

interface Hostile extends Omit<Partial<RunOptions>, "run"> {
  readonly fault: Fault
}

const line = (from: RegExp, to: string) => (text: string) => {
  const changed = text.replace(from, to)
  assert.notEqual(changed, text)
  return changed
}

const cases: Readonly<Record<string, Hostile>> = {
  "a name that climbs": { fault: "tampered", editText: line(/ d\/f -\n/, " d/../../outside/f -\n") },
  "an absolute name": { fault: "tampered", editText: line(/ d\/f -\n/, " /tmp/f -\n") },
  "an encoded slash": { fault: "tampered", editText: line(/ d\/f -\n/, " d%2Ff -\n") },
  "a NUL": { fault: "tampered", editText: line(/ d\/f -\n/, " d/%00 -\n") },
  "a file below a symbolic link": {
    fault: "tampered",
    entries: [top, { type: "l", path: "d", link: "../outside" }, { type: "f", path: "d/f", content: bytes("content") }],
  },
  "a name twice": { fault: "tampered", editText: line(/(f .* d\/f -\n\+ .*\n)/, "$1$1") },
  "a hard link that climbs": {
    fault: "tampered",
    entries: [...good, { type: "h", path: "h", link: "e" }],
    editText: line(/ h e\n/, " h ../outside/secret\n"),
  },
  "a hard link to a directory": { fault: "refused", entries: [...good, { type: "h", path: "h", link: "d" }] },
  "a hard link through a symbolic link": {
    fault: "refused",
    entries: [...good, { type: "l", path: "a", link: "../outside" }, { type: "h", path: "h", link: "a/secret" }],
  },
  "a wrong digest of a file": {
    fault: "tampered",
    editText: line(/(f .* )[0-9a-f]{64}( d\/f)/, `$1${"0".repeat(64)}$2`),
  },
  "a chunk that the volume lacks": {
    fault: "tampered",
    editText: line(/\+ [0-9a-f]{64} 7 /, `+ ${"0".repeat(64)} 7 `),
  },
  "chunks longer than the file": { fault: "tampered", editText: line(/ 7 ([0-9a-f]{64} d\/f)/, " 6 $1") },
  "a chunk of a run that the receipt does not use": {
    fault: "tampered",
    editText: line(/(\+ .* 7 )\S+ 1\n/, "$120261101T100000Z-00000001 1\n"),
  },
  "a volume that the receipt does not list": { fault: "tampered", editText: line(/(\+ .* 7 \S+) 1\n/, "$1 9\n") },
  "other bytes under a chunk's id": {
    fault: "tampered",
    editVolume: (chunks) => new Map([...chunks].map(([id, b]) => [id, Buffer.alloc(b.length, "!")])),
  },
  "totals that are not the catalogue's": {
    fault: "tampered",
    editRoot: (root) => ({ ...root, bytes: root.bytes + 1 }),
  },
  "a root of another run": { fault: "tampered", editRoot: (root) => ({ ...root, run: "20261101T100000Z-00000001" }) },
  "a root with another catalogue's digest": {
    fault: "tampered",
    editRoot: (root) => ({ ...root, catalogue: { ...root.catalogue, sha256: "0".repeat(64) } }),
  },
}

test("hostile archives are refused and nothing is written outside", async (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), "hostile-"))
  t.after(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  const outside = join(folder, "outside")
  fs.mkdirSync(outside)
  fs.writeFileSync(join(outside, "secret"), "secret")
  const world = await makeWorld(join(folder, "archive"))
  let count = 0
  for (const [label, { fault, ...options }] of Object.entries(cases)) {
    const to = join(folder, `to-${count}`)
    const run = await world.make({ entries: good, ...options, run: runId(count++) })
    await assert.rejects(attempt(world, run, to), { fault }, label)
    assert.deepEqual(fs.readdirSync(outside), ["secret"], label)
    assert.equal(fs.statSync(join(outside, "secret")).nlink, 1, label)
    assert.equal(fs.existsSync(join(to, "d/f")) && fault === "tampered", false, label)
  }
  const run = await world.make({ entries: good, run: runId(count) })
  await attempt(world, run, join(folder, "to"))
  assert.equal(fs.readFileSync(join(folder, "to/d/f"), "utf8"), "content")
})

const runId = (count: number): string => `20261120T100000Z-${count.toString(16).padStart(8, "0")}`
