// Restores into a new repository on the real server: refs, objects and LFS files of the first one; and what is never replaced.

import assert from "node:assert/strict"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { isFault, type TargetProblem } from "@backup-cloud/format"
import { type Machine, makeMachine } from "../../backup/test/machine.ts"
import { catalogueEntries, openRoot, planRestore, restore } from "../../restore/src/index.ts"
import { signal } from "../../trust/test/archive.ts"
import { type GitTargetOptions, gitSource, gitTarget } from "../src/index.ts"
import { commit, commitLarge, git, makeLab, objectsOf, refsOf } from "./world.ts"

const lab = await makeLab()

/** A machine with a run of a repository that has LFS objects, and refs that servers keep for themselves. */
async function backedUp(name: string): Promise<Machine> {
  const work = lab.repository(name)
  commitLarge(lab, work, "large.bin", 60_000)
  git(work, "push", "--quiet", "origin", "HEAD:refs/pull/1/head")
  const machine = await makeMachine(gitSource(lab.options(name)))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  return machine
}

/** An empty repository of the server, and how it is restored into. */
function emptyOne(name: string): GitTargetOptions {
  git(lab.place, "init", "--quiet", "--bare", "--initial-branch=main", join(lab.folder, `${name}.git`))
  return { ...lab.options(name), staging: join(lab.place, `${name}-staging`) }
}

async function restoreInto(machine: Machine, options: GitTargetOptions): Promise<readonly TargetProblem[]> {
  const view = await machine.view(machine.store, "latest")
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  const target = gitTarget(options)
  const result = await restore({ view, plan, target, what: "all", verify: true, onEvent: () => undefined, signal })
  return result.problems
}

test("all refs, objects and LFS files are in the new repository, and nothing is left here", async () => {
  const machine = await backedUp("first")
  const options = emptyOne("second")
  const before = new Map(lab.server.lfs)
  lab.server.lfs.clear()
  assert.deepEqual(await restoreInto(machine, options), [])
  assert.equal(refsOf(join(lab.folder, "second.git")), refsOf(join(lab.folder, "first.git")))
  assert.deepEqual(objectsOf(join(lab.folder, "second.git")), objectsOf(join(lab.folder, "first.git")))
  assert.deepEqual(lab.server.lfs, before)
  assert.deepEqual(readdirSync(options.staging), [])
})

test("a repository that has refs is refused; told so, it gets what it lacks, and what differs is left and reported", async () => {
  const machine = await backedUp("source")
  const options = { ...lab.options("taken"), staging: join(lab.place, "taken-staging") }
  const work = lab.repository("taken")
  const own = commit(work, "own", "mine\n")
  git(work, "push", "--quiet", "origin", "HEAD")
  const before = refsOf(join(lab.folder, "taken.git"))
  await assert.rejects(restoreInto(machine, options), (e) => isFault(e, "conflict") && /is not empty/.test(e.message))
  assert.equal(refsOf(join(lab.folder, "taken.git")), before)
  const problems = await restoreInto(machine, { ...options, intoExisting: true })
  assert.ok(problems.some(({ path, expected }) => path === "refs/heads/main" && !expected))
  assert.equal(git(join(lab.folder, "taken.git"), "rev-parse", "main").trim(), own)
  assert.match(refsOf(join(lab.folder, "taken.git")), /refs\/pull\/1\/head/)
})

test("refs that a server keeps for itself are told of, and are no failure", async () => {
  const machine = await backedUp("kept")
  const options = emptyOne("github-like")
  git(join(lab.folder, "github-like.git"), "config", "receive.hideRefs", "refs/pull")
  const problems = await restoreInto(machine, options)
  assert.deepEqual(
    problems.map(({ path, expected }) => [path, expected]),
    [["refs/pull/1/head", true]],
  )
  assert.match(problems[0]?.why ?? "", /deny updating a hidden ref/)
})

test("an interrupted restore goes on with what is staged, and a wrong token pushes nothing", async () => {
  const machine = await backedUp("interrupted")
  const options = emptyOne("later")
  const wrong = { ...options, credential: { username: "x", password: "wrong" } }
  await assert.rejects(restoreInto(machine, wrong), (e) => isFault(e, "refused"))
  lab.server.intercept = ({ url }) => (url?.includes("receive-pack") === true ? { status: 503 } : null)
  await assert.rejects(restoreInto(machine, options))
  assert.ok(existsSync(options.staging))
  lab.server.intercept = () => null
  const view = await machine.view(machine.store, "latest")
  const root = await openRoot(view, signal)
  const plan = await planRestore(() => catalogueEntries(view, root, signal), null)
  const result = await restore({
    view,
    plan,
    target: gitTarget(options),
    what: "all",
    onEvent: () => undefined,
    signal,
  })
  assert.equal(result.resumed, result.files)
  assert.equal(refsOf(join(lab.folder, "later.git")), refsOf(join(lab.folder, "interrupted.git")))
})
