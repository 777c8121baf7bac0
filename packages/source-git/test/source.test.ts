// Repositories as a source, from the real `git http-backend`: the contract of all sources in whole runs, and that what comes
// back is the repository, for stock git too.

import assert from "node:assert/strict"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { makeMachine } from "../../backup/test/machine.ts"
import { sourceContract } from "../../backup/test/source-contract.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { gitSource } from "../src/index.ts"
import { commit, commitLarge, entriesOf, filesOf, git, makeLab, objectsOf, refsOf, restored } from "./world.ts"

const lab = await makeLab()

let count = 0
sourceContract("git", { broken: "unavailable", loses: true }, async () => {
  const name = `contract${count++}`
  const work = lab.repository(name)
  commitLarge(lab, work, "large.bin", 50_000)
  const options = lab.options(name)
  const upstream = join(lab.folder, `${name}.git`)
  const content = (): Map<string, string> => {
    const mirror = filesOf(join(options.cache, `${name}.git`))
    const packs = [...mirror].filter(([path]) => /^(?:objects\/pack|lfs\/objects)\//.test(path))
    const refs = git(upstream, "for-each-ref", "--format=%(objectname) %(refname)")
    const small = [
      ["HEAD", "ref: refs/heads/main\n"],
      ["config", "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"],
      ["packed-refs", `# pack-refs with: sorted \n${refs}`],
    ] as const
    return new Map([...packs, ...small].map(([path, bytes]) => [`${name}.git/${path}`, bytes]))
  }
  return {
    source: gitSource(options),
    content,
    attributes: (path) => (/\.pack$/.test(path) ? { "git.content": path.split("/").at(-1) ?? "" } : {}),
    async change() {
      git(work, "push", "--quiet", "origin", "HEAD~1:refs/heads/another", "HEAD:refs/heads/feature/one")
      return `${name}.git/packed-refs`
    },
    async breakOff() {
      lab.server.intercept = () => ({ status: 503 })
      return async () => {
        lab.server.intercept = () => null
      }
    },
    async lose() {
      const id = commitLarge(lab, work, "more.bin", 70_000)
      assert.ok(lab.server.lfs.delete(id))
      return { path: `${name}.git/lfs/objects/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}`, word: "LFS-object-missing" }
    },
  }
})

test("what comes back is a repository that stock git clones, with all refs, objects and LFS files", async () => {
  const work = lab.repository("whole")
  commitLarge(lab, work, "large.bin", 80_000)
  git(work, "push", "--quiet", "origin", "HEAD:refs/pull/7/head", "HEAD:refs/notes/x")
  const machine = await makeMachine(gitSource(lab.options("whole")))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const upstream = join(lab.folder, "whole.git")
  const back = join(await restored(machine, lab.place), "whole.git")
  assert.equal(refsOf(back), refsOf(upstream))
  assert.match(refsOf(back), /refs\/pull\/7\/head/)
  assert.deepEqual(objectsOf(back), objectsOf(upstream))
  git(back, "fsck", "--strict")
  const clone = join(lab.place, "whole-clone")
  git(lab.place, "clone", "--quiet", back, clone)
  git(clone, "lfs", "install", "--local", "--skip-repo")
  git(clone, "lfs", "pull")
  assert.ok(readFileSync(join(clone, "large.bin")).equals(readFileSync(join(work, "large.bin"))))
  assert.equal(readFileSync(join(clone, "large.bin")).length, 80_000)
})

test("what is new is one more pack; what upstream rewrote and deleted stays in the earlier run", async () => {
  const work = lab.repository("history")
  const machine = await makeMachine(gitSource(lab.options("history")))
  await machine.backup(machine.store)
  const upstream = join(lab.folder, "history.git")
  const before = { refs: refsOf(upstream), objects: objectsOf(upstream) }
  const packs = async () => (await entriesOf(machine)).filter(({ path }) => path.endsWith(".pack"))
  const [first, ...none] = await packs()
  assert.deepEqual(none, [])
  git(work, "reset", "--quiet", "--hard", "HEAD~1")
  commit(work, "README.md", "rewritten\n")
  git(work, "push", "--quiet", "--force", "origin", "HEAD")
  git(work, "push", "--quiet", "origin", ":refs/heads/feature/one", "HEAD:refs/heads/feature")
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  await machine.backup(machine.store)
  const later = await packs()
  assert.equal(later.length, 2)
  assert.deepEqual(
    later.find(({ path }) => path === first?.path),
    first,
    "the first pack lies where it lay",
  )
  const back = join(await restored(machine, lab.place), "history.git")
  assert.equal(refsOf(back), refsOf(upstream))
  assert.notEqual(refsOf(back), before.refs)
  const [run = ""] = (await machine.runs(machine.store)).runs.map((each) => each.run).sort()
  const earlier = join(await restored(machine, lab.place, run), "history.git")
  assert.equal(refsOf(earlier), before.refs)
  assert.deepEqual(objectsOf(earlier), before.objects)
})

test("an empty repository is backed up as one, and one without a main branch as it is", async () => {
  git(lab.place, "init", "--quiet", "--bare", "--initial-branch=trunk", join(lab.folder, "empty.git"))
  const machine = await makeMachine(gitSource(lab.options("empty")))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const back = join(await restored(machine, lab.place), "empty.git")
  assert.equal(git(back, "for-each-ref"), "")
  assert.match(git(back, "symbolic-ref", "HEAD"), /^refs\/heads\/(trunk|main)$/m)
  const work = lab.repository("trunk")
  git(work, "push", "--quiet", "origin", "HEAD:refs/heads/trunk")
  git(join(lab.folder, "trunk.git"), "symbolic-ref", "HEAD", "refs/heads/trunk")
  const other = await makeMachine(gitSource(lab.options("trunk")))
  await other.backup(other.store)
  assert.match(refsOf(join(await restored(other, lab.place), "trunk.git")), /^refs\/heads\/trunk\n/)
})

test("a mirror that is gone, damaged or another repository's is made anew", async () => {
  lab.repository("cached")
  const work = lab.repository("other")
  const options = lab.options("cached")
  const machine = await makeMachine(gitSource(options))
  const run = async (): Promise<void> => {
    machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
    assert.equal((await machine.backup(machine.store)).outcome, "complete")
    const back = join(await restored(machine, lab.place), "cached.git")
    assert.deepEqual(objectsOf(back), objectsOf(join(lab.folder, "cached.git")))
  }
  await run()
  const mirror = join(options.cache, "cached.git")
  const pack = readdirSync(join(mirror, "objects/pack")).find((name) => name.endsWith(".pack")) ?? ""
  rmSync(join(mirror, "objects/pack", pack))
  await run()
  // What a git leaves that was killed.
  for (const left of ["packed-refs.lock", "config.lock", "objects/pack/tmp_pack_x"])
    writeFileSync(join(mirror, left), "")
  await run()
  git(mirror, "config", "remote.origin.url", join(lab.folder, "other.git"))
  commit(work, "x", "y")
  await run()
  rmSync(options.cache, { recursive: true })
  await run()
})

test("many packs are merged, and nothing is lost", async () => {
  const work = lab.repository("many")
  const source = gitSource(lab.options("many"))
  const mirror = join(lab.options("many").cache, "many.git/objects/pack")
  const packs = (): number => readdirSync(mirror).filter((name) => name.endsWith(".pack")).length
  await collect(source.entries(signal))
  // As if as many runs had been made.
  const cached = join(lab.options("many").cache, "many.git")
  for (let i = 0; i < 52; i++) {
    git(work, "commit", "--quiet", "--allow-empty", "--message", `${i}`)
    git(cached, "-c", "gc.auto=0", "-c", "fetch.unpackLimit=1", "fetch", "--quiet", work, "+HEAD:refs/heads/main")
  }
  assert.ok(packs() > 50)
  git(work, "push", "--quiet", "origin", "HEAD")
  const machine = await makeMachine(source)
  await machine.backup(machine.store)
  assert.ok(packs() < 10, `${packs()} packs`)
  const back = join(await restored(machine, lab.place), "many.git")
  assert.deepEqual(objectsOf(back), objectsOf(join(lab.folder, "many.git")))
})
