// The directory source, an archive and the directory target together, compared by rsync, which knows nothing of them.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { dirSource } from "../../source-dir/src/index.ts"
import { dirTarget } from "../../source-dir/src/target.ts"
import { makeHostileTree } from "../../source-dir/test/hostile-tree.ts"
import { catalogueEntries, openRoot, planRestore, restore } from "../src/index.ts"
import { makeWorld, sha256, signal, type TestEntry } from "./make-run.ts"

/** What rsync may find different, and why that is right. */
const allowed: Readonly<Record<string, string>> = {
  "cS+++++++++ special/socket": "a socket is made by the program that listens on it",
}

async function entriesOf(root: string): Promise<TestEntry[]> {
  const entries: TestEntry[] = []
  for await (const batch of dirSource({ root, xattrs: true, acls: true }).entries(signal))
    for (const { content, ...entry } of batch) {
      const bytes = content?.kind === "file" ? fs.readFileSync(Buffer.from(content.file, "latin1")) : null
      const size = bytes?.length ?? entry.size ?? 0
      entries.push(bytes === null ? { ...entry, size } : { ...entry, content: bytes, size, sha256: sha256(bytes) })
    }
  return entries
}

test("a tree of everything that goes wrong comes back as rsync sees it", async (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), "tree-"))
  t.after(() => {
    fs.rmSync(folder, { recursive: true, force: true })
  })
  const from = join(folder, "from")
  await makeHostileTree(from)
  execFileSync("setfattr", ["-n", "user.note", "-v", "kept", join(from, "sizes/text")])
  execFileSync("setfacl", ["-m", "u:1234:rwx,d:g:99:rx", join(from, "links")])
  // Setting them is a change of the directory's inode only, so times stand.
  await using home = await openGpgHome()
  const world = await makeWorld(join(folder, "archive"), gpgPassphraseOpener(home))
  const run = await world.make({
    run: "20261120T100000Z-0000000a",
    entries: await entriesOf(from),
    chunk: 1_000_000,
    perVolume: 40,
    catalogueChunk: 65_536,
  })
  const view = await world.view(run.run, world.secrets(run))
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  for (const whole of [false, true]) {
    const to = join(folder, `to-${whole}`)
    const target = dirTarget({ root: to, owner: true, setId: whole, devices: whole })
    const result = await restore({ view, plan, target, what: run.run, verify: true, onEvent: () => undefined, signal })
    assert.deepEqual(
      result.problems.filter((p) => !p.expected),
      [],
    )
    const rsync = ["-aHAXn", "--checksum", "--delete", "--itemize-changes", `${from}/`, `${to}/`]
    const found = execFileSync("rsync", rsync, { encoding: "latin1" }).split("\n").filter(Boolean)
    const differing = found.filter((line) => allowed[line] === undefined)
    if (whole) assert.deepEqual(differing, [])
    else assert.ok(differing.length > 0, "set-id bits and devices were not asked for")
    assert.ok(fs.statSync(join(to, "sparse/hole")).blocks < 100)
    for (const name of [".", "times", "links/relative", "sizes/text"])
      assert.equal(ns(join(to, name)), ns(join(from, name)), name)
  }
})

const ns = (path: string): bigint => fs.lstatSync(path, { bigint: true }).mtimeNs
