// No space left where mirrors, answers and staged files lie: on a real file system that is too small. Nothing that counts
// comes of it, and it goes on once there is room.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot, planRestore, restore } from "../../restore/src/index.ts"
import { commit, git, refsOf } from "../../source-git/test/world.ts"
import { noise } from "../../store/test/helpers.ts"
import { signal } from "../../trust/test/archive.ts"
import { githubSource, githubTarget } from "../src/index.ts"
import { addIssue, makeWorld } from "./world.ts"
import { addWriting } from "./writing.ts"

const world = await makeWorld()
const other = await makeWorld()
addWriting(other.github, other.lab)
const cache = mkdtempSync(join(tmpdir(), "github-small-"))
const mount = (...args: string[]): void => {
  const { status, stderr } = spawnSync("mount", [...args, cache], { encoding: "utf8" })
  assert.equal(status, 0, `this test needs the right to mount a small file system, as root has it: ${stderr}`)
}
const resize = (size: string): void => {
  mount("-o", `remount,size=${size}`)
}
mount("-t", "tmpfs", "-o", "size=2m", "tmpfs")
after(() => {
  spawnSync("umount", [cache])
  rmdirSync(cache)
})

test("a full disk ends the run with a word of it, whether git or we meet it first", async () => {
  const repository = world.add("app")
  const work = world.work.get("app") ?? ""
  commit(work, "large", noise(3_000_000))
  git(work, "push", "--quiet", "origin", "HEAD")
  const options = world.options({ cache })
  const machine = await makeMachine(githubSource(options))
  assert.equal((await machine.backup(machine.store)).outcome, "failed")
  resize("8m")
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  for (let number = 1; number < 40; number++) addIssue(repository, number, "long", "x".repeat(60_000))
  const filler = join(cache, "filler")
  resize("7m")
  writeFileSync(filler, noise(1_000_000))
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  await assert.rejects(
    machine.backup(machine.store),
    (e) => isFault(e, "unavailable") && /ENOSPC/.test(e.message) && e.hint !== undefined,
  )
  resize("64m")
  assert.equal((await machine.backup(machine.store)).outcome, "complete")

  const view = await machine.view(machine.store, "latest")
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  const target = () => githubTarget({ ...other.options(), staging: join(cache, "staging") })
  const run = async () => await restore({ view, plan, target: target(), what: "all", onEvent: () => undefined, signal })
  resize("10m")
  await assert.rejects(run(), (e) => isFault(e, "unavailable") && /ENOSPC/.test(e.message))
  assert.equal(other.github.repositories.size, 0)
  resize("64m")
  await run()
  assert.equal(refsOf(join(other.lab.folder, "app.git")), refsOf(join(world.lab.folder, "app.git")))
  assert.equal(other.repository("app").issues.length, 39)
})
