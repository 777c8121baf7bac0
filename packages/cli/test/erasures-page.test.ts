// The page on erasures: each block is run in a shell by the person it is for, with the yes that a person would type.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/erasures.md"), "utf8")
const blocks = [...page.matchAll(/^```sh ?(\w*)\n(.*?)^```$/gms)].map(([, who = "", text = ""]) => ({ who, text }))
const people: Readonly<Record<string, string>> = { administrator: "admin", operator: "oscar", holder: "alice" }
const world = new World()
const bin = world.file("bin")

before(() => {
  const data = world.file("data")
  for (const folder of [bin, join(data, "people/4711")]) mkdirSync(folder, { recursive: true })
  writeFileSync(join(data, "people/4711/letter"), "dear 4711")
  writeFileSync(join(data, "people/4712"), "stays")
  world.start(data)
  for (const [name, url] of [
    ["parameters", "ssm:/app?region=us-east-1"],
    ["uploads", "s3://uploads/in?region=us-east-1"],
    ["shop", "mysql://saver@127.0.0.1/"],
  ] as const)
    world.ok("admin", "source", "add", name, url)
  world.ok("admin", "backup", "docs")
  writeFileSync(world.file("forget-4711.sql"), "DELETE FROM people WHERE id = 4711;\n")
  const program = join(import.meta.dirname, "../bin/backup-cloud.js")
  const command = `#!/bin/sh\nexec ${process.execPath} ${program} --yes "$@"\n`
  writeFileSync(join(bin, "backup-cloud"), command, { mode: 0o755 })
})
after(() => {
  world.end()
})

test("what the page says is done as written", () => {
  assert.deepEqual(
    blocks.map(({ who }) => who),
    ["administrator", "operator", "operator", "holder", "operator", "operator", "administrator"],
  )
  const said: string[] = []
  for (const [i, { who, text }] of blocks.entries()) {
    if (i === 1) world.release("docs@latest", "answer")
    const { env, cwd } = of(world, people[who] ?? "", fromSources)
    const options = { cwd, encoding: "utf8", env: { ...env, PATH: `${bin}:${env["PATH"] ?? ""}` } } as const
    const done = spawnSync("/bin/sh", ["-euc", text], options)
    assert.equal(done.status, 0, `${who}: ${text}\n${done.stdout}${done.stderr}`)
    said.push(done.stdout + done.stderr)
  }
  assert.match(said[1] ?? "", /left out for erasure 1: people\/4711\/letter\n[\s\S]*Left out of docs@\S+: 2 entries/)
  assert.ok(!existsSync(world.file("restored/people/4711")))
  assert.equal(readFileSync(world.file("restored-whole/people/4711/letter"), "utf8"), "dear 4711")

  const list = said[5] ?? ""
  const [run = ""] = world.runs("docs")
  assert.match(
    list,
    /Erasure 1, .*\n.*docs, runs begun until 2[^\n]*\n {2}path {5}\/people\/4711\n.*asked to be forgotten \(CASE-9\)/,
  )
  for (const line of [
    `  may lie in run ${run}, kept with no date: the source has no keep rule\n`,
    `  2 entries lie in run ${run}, kept with no date: the source has no keep rule`,
    "  file     app/password\n  file     app/password@\n",
    "  path     /.s3-versions/letters/4711.pdf/.s3-version-*\n",
    "  SQL      36 bytes, for the database shop\n",
    "  no run holds it\n",
  ])
    assert.ok(list.includes(line), `${line}\n${list}`)
  // To a holder it is no secret either, to the administrator it is.
  assert.match(world.ok("bob", "trust", world.archive, world.fingerprints.get("admin") ?? "", "--yes"), /./)
  assert.match(world.ok("bob", "erase", "list"), /CASE-9/)
  world.fails("admin", 12, "erase", "list")
})
