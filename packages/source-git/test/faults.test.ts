// What goes wrong between us and the server, and what a server or a repository must not be able to do here.

import assert from "node:assert/strict"
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, test } from "node:test"
import { isFault } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { noise } from "../../store/test/helpers.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { type GitSourceOptions, gitSource } from "../src/index.ts"
import { account, commit, commitLarge, entriesOf, git, makeLab, restored } from "./world.ts"

const lab = await makeLab()
beforeEach(() => {
  lab.server.intercept = () => null
})

async function list(options: GitSourceOptions): Promise<void> {
  await collect(gitSource(options).entries(signal))
}

/** The same, asked for by nobody in particular. */
function open({ url, cache, env, kill }: GitSourceOptions): GitSourceOptions {
  return { url, cache, env, kill }
}

test("a wrong token is refused and an absent repository not found, and nothing is committed; the right ones do", async () => {
  lab.repository("rights")
  const options = lab.options("rights")
  const wrong = { ...options, credential: { ...account, password: "wrong" } }
  await assert.rejects(list(wrong), (e) => isFault(e, "refused") && /HTTP 401.*not whole/.test(e.message))
  await assert.rejects(list(open(options)), (e) => isFault(e, "refused"))
  await assert.rejects(list(lab.options("nowhere")), (e) => isFault(e, "not-found"))
  const machine = await makeMachine(gitSource(wrong))
  await assert.rejects(machine.backup(machine.store), (e) => isFault(e, "refused"))
  assert.equal((await machine.runs(machine.store)).runs.length, 0)
  await list(options)
})

test("a server that is not there, or says that it is busy, is unavailable", async () => {
  lab.repository("busy")
  for (const status of [429, 500, 503]) {
    lab.server.intercept = () => ({ status })
    await assert.rejects(list(lab.options("busy")), (e) => isFault(e, "unavailable"))
  }
  lab.server.intercept = () => null
  await list(lab.options("busy"))
  await assert.rejects(
    list({ ...lab.options("busy"), url: "http://127.0.0.1:1/x.git" }),
    (e) => isFault(e, "unavailable") && e.hint !== undefined,
  )
})

test("a connection that breaks in the middle of a pack makes a failed run, the latest stays, and the next one is whole", async () => {
  const work = lab.repository("broken")
  const machine = await makeMachine(gitSource(lab.options("broken")))
  await machine.backup(machine.store)
  const before = await machine.content(machine.store, "latest")
  commit(work, "noise", noise(300_000))
  git(work, "push", "--quiet", "origin", "HEAD")
  lab.server.intercept = () => ({ cut: 100_000 })
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  assert.equal((await machine.backup(machine.store)).outcome, "failed")
  assert.deepEqual(await machine.content(machine.store, "latest"), before)
  lab.server.intercept = () => null
  machine.clock.now = new Date(machine.clock.now.getTime() + 60_000)
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  const back = join(await restored(machine, lab.place), "broken.git")
  assert.equal(git(back, "rev-parse", "main"), git(work, "rev-parse", "HEAD"))
  git(back, "fsck", "--strict")
})

/** A folder with a program in front of the real ones. */
function shadow(name: string, program: string, script: string): string {
  const folder = join(lab.place, name)
  mkdirSync(folder)
  writeFileSync(join(folder, program), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, program), 0o700)
  return `${folder}:${process.env["PATH"] ?? ""}`
}

test("a git that is killed makes a failed run, and one that cannot be started too", async () => {
  lab.repository("killed")
  const options = lab.options("killed")
  const env = { PATH: shadow("killer", "git", 'case "$*" in *fetch*) kill -9 $$;; esac\nexec /usr/bin/git "$@"') }
  const machine = await makeMachine(gitSource({ ...options, env }))
  const events: string[] = []
  const onEvent = (event: { event: string; why?: string }): void => {
    if (event.event === "broke-off") events.push(event.why ?? "")
  }
  assert.equal((await machine.backup(machine.store, { onEvent })).outcome, "failed")
  assert.match(events.join(), /killed\.git: git failed; the backup is not whole; git fetch was ended by SIGKILL/)
  const nowhere = await makeMachine(gitSource({ ...options, env: { PATH: "/nonexistent" } }))
  assert.equal((await nowhere.backup(nowhere.store)).outcome, "failed")
})

test("a run that is stopped ends git and what it started", async () => {
  const work = lab.repository("stopped")
  commit(work, "noise", noise(3_000_000))
  git(work, "push", "--quiet", "origin", "HEAD")
  const abort = new AbortController()
  lab.server.intercept = ({ url }) => {
    if (url?.endsWith("git-upload-pack") !== true) return null
    setImmediate(() => {
      abort.abort(new Error("stopped"))
    })
    return null
  }
  const source = gitSource(lab.options("stopped"))
  await assert.rejects(collect(source.entries(abort.signal)), { message: "stopped" })
  const { cache } = lab.options("stopped")
  const alive = readdirSync("/proc").filter((pid) => {
    try {
      return /^[0-9]+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(lab.options("stopped").url)
    } catch {
      return false
    }
  })
  assert.deepEqual(alive, [])
  lab.server.intercept = () => null
  await list(lab.options("stopped"))
  assert.ok(existsSync(cache))
})

test("files in LFS take git-lfs; a repository without them does not", async () => {
  const plain = lab.repository("plain")
  commitLarge(lab, lab.repository("large"), "a.bin", 1_000)
  // A git that has no such command.
  const env = { PATH: shadow("no-lfs", "git", '[ "$1" = lfs ] && exit 1\nexec /usr/bin/git "$@"') }
  await assert.rejects(
    list({ ...lab.options("large"), env }),
    (e) => isFault(e, "unavailable") && /git-lfs is not installed/.test(e.message) && e.hint === "install git-lfs",
  )
  await list({ ...lab.options("plain"), env })
  await list(lab.options("large"))
  assert.ok(plain !== "")
})

test("a repository cannot send the credential elsewhere, nor decide what is run or fetched from this machine", async () => {
  const work = lab.repository("hostile")
  const id = commitLarge(lab, work, "a.bin", 2_000)
  const elsewhere = await makeLab()
  elsewhere.repository("hostile")
  writeFileSync(
    join(work, ".lfsconfig"),
    `[lfs]\n\turl = ${elsewhere.server.url}/hostile.git/info/lfs\n\tfetchexclude = *\n\tskipdownloaderrors = true\n`,
  )
  commit(work, ".gitmodules", `[submodule "x"]\n\tpath = x\n\turl = ${elsewhere.server.url}/hostile.git\n`)
  git(work, "push", "--quiet", "origin", "HEAD")
  const machine = await makeMachine(gitSource(lab.options("hostile")))
  assert.equal((await machine.backup(machine.store)).outcome, "complete")
  assert.deepEqual(elsewhere.server.asked, [])
  assert.ok((await entriesOf(machine)).some(({ path }) => path.endsWith(id)))
  assert.ok(lab.server.asked.some((line) => line.includes("/info/lfs/objects/batch") && line.endsWith(" known")))
})

test("a redirect to another server does not take the credential there", async () => {
  lab.repository("moved")
  const elsewhere = await makeLab()
  elsewhere.repository("moved")
  lab.server.redirect = (url) => `${elsewhere.server.url}${url}`
  await assert.rejects(list(lab.options("moved")))
  assert.ok(elsewhere.server.asked.length > 0)
  assert.ok(
    elsewhere.server.asked.every((line) => line.endsWith(" unknown")),
    elsewhere.server.asked.join("\n"),
  )
  lab.server.redirect = null
  await list(lab.options("moved"))
})

test("URLs that hold a password, hide options or are none are refused, and a credential goes to https alone", () => {
  const options = lab.options("x")
  const bad = [
    "http://u:p@h/x.git",
    "ext::sh -c id",
    "-x",
    "host:path",
    "https://h/",
    "https://h/..",
    "https://h/a b.git",
  ]
  for (const url of [...bad, "https://h/x.git?y", "ftp://h/x.git", "https://h/%0a.git"])
    assert.throws(
      () => gitSource({ ...options, url }),
      (e) => isFault(e, "usage") && !e.message.includes(":p@"),
      url,
    )
  assert.throws(
    () => gitSource({ ...options, url: "http://git.test.example/x.git" }),
    (e) => isFault(e, "refused"),
  )
  for (const url of ["https://git.test.example/team/x.git", "https://git.test.example/x"])
    gitSource({ ...options, url })
  for (const url of ["ssh://git@h/x.git", "file:///srv/x.git", "http://git.test.example/x.git"])
    gitSource({ ...open(options), url })
})
