// An organisation of GitHub with the real command, on a double of the API beside a real git server: backed up, restored into
// a directory and into another organisation.

import assert from "node:assert/strict"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { inFiles } from "../../source-git/test/watch.ts"
import { refsOf } from "../../source-git/test/world.ts"
import { addIssue, type World as Hosted, makeWorld } from "../../source-github/test/world.ts"
import { addWriting } from "../../source-github/test/writing.ts"
import { type Ended, World } from "./world.ts"

const from = await makeWorld()
const to = await makeWorld()
addWriting(to.github, to.lab)
const world = new World()
const url = ({ github }: Hosted): string => `github:${github.owner}?api=${encodeURIComponent(github.baseUrl)}`
const tokenOf = (hosted: Hosted, name: string): string => {
  writeFileSync(world.file(name), hosted.github.token, { mode: 0o600 })
  return world.file(name)
}

before(() => {
  const data = world.file("data")
  mkdirSync(data)
  writeFileSync(join(data, "file"), "x")
  world.start(data)
  addIssue(from.add("app"), 1, "an issue", "its text")
  from.add("zoo")
  world.ok("admin", "source", "add", "hub", url(from), "--password-file", tokenOf(from, "token"))
})
after(() => {
  world.end()
  assert.deepEqual([...from.github.problems, ...to.github.problems], [])
})

/** The servers answer in this process. */
async function as(who: string, ...args: string[]): Promise<Ended> {
  const ended = await world.spawn(who, ...args).ended
  for (const { github } of [from, to]) assert.ok(!(ended.stdout + ended.stderr).includes(github.token))
  return ended
}

test("an organisation comes back as a directory, and in another organisation", async () => {
  const backup = await as("admin", "backup", "hub", "--json")
  assert.equal(backup.status, 0, backup.stdout + backup.stderr)
  const release = world.release("hub@latest", "release")
  const target = world.file("restored")
  world.ok("oscar", "restore", "hub@latest", "--release", release, "--to", target)
  const repository = join(target, "repositories/app")
  assert.equal(refsOf(join(repository, "repository.git")), refsOf(join(from.lab.folder, "app.git")))
  assert.match(readFileSync(join(repository, "issues/1.json"), "utf8"), /"title": "an issue"/)
  const into = ["restore", "hub@latest", "--release", release, "--to", url(to), "--password-file", tokenOf(to, "other")]
  const restored = await as("oscar", ...into)
  assert.equal(restored.status, 0, restored.stdout + restored.stderr)
  assert.match(restored.stderr, /it was public; it was made private/)
  assert.equal(refsOf(join(to.lab.folder, "zoo.git")), refsOf(join(from.lab.folder, "zoo.git")))
  assert.match(String(to.repository("app").issues[0]?.["body"]), /its text/)
  assert.equal((await as("oscar", ...into)).status, exitCode.conflict)
  assert.deepEqual(inFiles([from.github.token, to.github.token], world.place).sort(), [
    world.file("other"),
    world.file("token"),
  ])
})

test("a wrong token is refused, an absent one and a URL that cannot be meant too", async () => {
  writeFileSync(world.file("token"), "wrong")
  assert.equal((await as("admin", "backup", "hub")).status, exitCode.refused)
  writeFileSync(world.file("token"), from.github.token)
  assert.equal((await as("admin", "backup", "hub")).status, 0)
  for (const wrong of ["github:", "github:a/b", "github:a?x=y", "github://acme"])
    world.fails("admin", exitCode.usage, "source", "add", "wrong", wrong)
  world.ok("admin", "source", "add", "open", "github:acme")
  assert.equal((await as("admin", "backup", "open")).status, exitCode.usage)
})
