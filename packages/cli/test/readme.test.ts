// The commands of the README's first archive, run in their order as they stand there, but for the paths and keys of
// this test and the yes that a person would type.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, test } from "node:test"
import { World } from "./world.ts"

const readme = readFileSync(join(import.meta.dirname, "../../../README.md"), "utf8")
const section = /^## A first archive\n(.*?)^## /ms.exec(readme)?.[1] ?? ""
const blocks = [...section.matchAll(/^```\w*\n(.*?)^```$/gms)].map((match) => (match[1] ?? "").trim().split("\n"))

const world = new World()
after(() => {
  world.end()
})

/** Who types a line: the first block is the administrator's; in the second a holder answers the operator. */
function typist(block: number, line: string): string {
  if (block === 0) return "admin"
  return /^backup-cloud (keyholder|trust admin\.asc) /.test(line) ? "alice" : "oscar"
}

test("the README's first archive works as written", () => {
  for (const name of ["admin", "alice", "bob", "oscar"]) world.person(name)
  const admin = world.fingerprints.get("admin") ?? ""
  const data = world.file("docs")
  mkdirSync(data)
  writeFileSync(join(data, "letter"), "Dear all,\n")
  const places: readonly (readonly [string, string])[] = [
    ["ADMIN-FINGERPRINT", admin],
    ["KEYID", admin.slice(-16)],
    ["/mnt/archive", world.archive],
    ["/srv/docs", data],
    ["/srv/restored", world.file("restored")],
  ]
  assert.equal(blocks.length, 2)
  assert.deepEqual(
    blocks.map((lines) => lines.length),
    [4, 5],
  )
  for (const [index, lines] of blocks.entries()) {
    for (const line of lines) {
      const real = places.reduce((text, [from, to]) => text.replaceAll(from, to), line)
      const [command, ...args] = [...real.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "")
      assert.equal(command, "backup-cloud", line)
      const asks = /^backup-cloud (trust|keyholder approve) /.test(line)
      world.ok(typist(index, line), ...args, ...(asks ? ["--yes"] : []))
    }
  }
  execFileSync("diff", ["-r", data, world.file("restored")])
})
