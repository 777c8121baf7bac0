// Repositories with the real command, from the real git server: backed up, restored into a directory and a new repository;
// and the token in no output, log or file but its own.

import assert from "node:assert/strict"
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { kill } from "node:process"
import { after, before, test } from "node:test"
import { exitCode } from "@backup-cloud/format"
import { inFiles, privateFolders } from "../../source-git/test/watch.ts"
import { account, commit, git, makeLab, objectsOf, refsOf } from "../../source-git/test/world.ts"
import { noise } from "../../store/test/helpers.ts"
import { type Ended, World } from "./world.ts"

const lab = await makeLab()
const world = new World()
const token = world.file("token")
const withToken = ["--password-file", token]
const server = lab.server.url.replace("//", `//${account.username}@`)
let work = ""

before(() => {
  const data = world.file("data")
  mkdirSync(data)
  writeFileSync(join(data, "file"), "x")
  world.start(data)
  writeFileSync(token, `${account.password}\n`, { mode: 0o600 })
  work = lab.repository("project")
  world.ok("admin", "source", "add", "code", `git:${server}/project.git`, ...withToken)
})
after(() => {
  world.end()
})

/** The server answers in this process, so commands that speak with it are waited for without blocking. */
async function as(who: string, ...args: string[]): Promise<Ended> {
  const ended = await world.spawn(who, ...args).ended
  assert.doesNotMatch(ended.stdout + ended.stderr, new RegExp(account.password))
  return ended
}

async function ok(who: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await as(who, ...args)
  assert.equal(status, 0, stdout + stderr)
  return stdout
}

test("a repository comes back as a directory that git clones, and as a new repository", async () => {
  await ok("admin", "backup", "code", "--json")
  commit(work, "more", "more\n")
  git(work, "push", "--quiet", "origin", "HEAD")
  await ok("admin", "backup", "code")
  const upstream = join(lab.folder, "project.git")
  const release = world.release("code@latest", "release")
  const to = world.file("restored")
  world.ok("oscar", "restore", "code@latest", "--release", release, "--to", to, "--verify")
  assert.equal(refsOf(join(to, "project.git")), refsOf(upstream))
  git(world.place, "clone", "--quiet", join(to, "project.git"), world.file("clone"))
  git(lab.place, "init", "--quiet", "--bare", "--initial-branch=main", join(lab.folder, "new.git"))
  const into = ["restore", "code@latest", "--release", release, "--to", `git:${server}/new.git`, ...withToken]
  await ok("oscar", ...into, "--verify")
  assert.equal(refsOf(join(lab.folder, "new.git")), refsOf(upstream))
  assert.deepEqual(objectsOf(join(lab.folder, "new.git")), objectsOf(upstream))
  assert.equal((await as("oscar", ...into)).status, exitCode.conflict)
  const holding = inFiles([account.password], world.place)
  assert.deepEqual(holding, [token])
})

test("a command that is killed while git fetches leaves nothing that counts, and the next one cleans up", async () => {
  const before = world.runs("code")
  commit(work, "large", noise(2_000_000))
  git(work, "push", "--quiet", "origin", "HEAD")
  const hanging = new Promise<void>((resolve) => {
    lab.server.intercept = ({ url }) => {
      if (url?.endsWith("git-upload-pack") !== true) return null
      resolve()
      return "hang"
    }
  })
  const { child, ended } = world.spawn("admin", "backup", "code")
  await hanging
  const left = privateFolders(account.password)
  assert.ok(left.length > 0 && child.pid !== undefined)
  kill(child.pid, "SIGKILL")
  assert.notEqual((await ended).status, 0)
  lab.server.intercept = () => null
  lab.server.release()
  assert.deepEqual(world.runs("code"), before)
  await ok("admin", "backup", "code")
  assert.ok(left.every((name) => !existsSync(name)))
  assert.equal(world.runs("code").length, before.length + 1)
})

test("a git that is killed ends with incomplete, and the run before stays the latest", async () => {
  const folder = world.file("killing")
  mkdirSync(folder)
  writeFileSync(join(folder, "git"), `#!/bin/sh\ncase "$*" in *fetch*) kill -9 $$;; esac\nexec /usr/bin/git "$@"\n`)
  chmodSync(join(folder, "git"), 0o700)
  const path = process.env["PATH"] ?? ""
  process.env["PATH"] = `${folder}:${path}`
  const { status, stderr } = await as("admin", "backup", "code")
  process.env["PATH"] = path
  assert.equal(status, exitCode.incomplete)
  assert.match(stderr, /git fetch was ended by SIGKILL/)
  assert.match(stderr, /kept as failed, and the one before stays the latest/)
  const release = world.release("code@latest", "after")
  assert.match(world.ok("oscar", "files", "code@latest", "--release", release), /project\.git\/packed-refs/)
})

test("a wrong token is refused, as is one that others can read; a command may tell it", async () => {
  writeFileSync(token, "wrong\n")
  assert.equal((await as("admin", "backup", "code")).status, exitCode.refused)
  writeFileSync(token, `${account.password}\n`)
  chmodSync(token, 0o644)
  const { status, stderr } = await as("admin", "backup", "code")
  assert.equal(status, exitCode.usage)
  assert.match(stderr, /can be read by others/)
  chmodSync(token, 0o600)
  const config = join(world.file("admin"), "backup-cloud.yaml")
  const text = readFileSync(config, "utf8")
  writeFileSync(config, text.replace(/password_file: .*/, `password_command: "cat '${token}'"`))
  await ok("admin", "backup", "code")
  writeFileSync(config, text.replace(/password_file: .*/, `password_command: "exit 3"`))
  assert.equal((await as("admin", "backup", "code")).status, exitCode.unavailable)
  writeFileSync(config, text)
  await ok("admin", "backup", "code")
})

test("what a URL of a repository cannot mean is refused, and tokens belong to repositories", () => {
  for (const [url, ...options] of [
    ["s3://bucket", "--password-file", token],
    ["git:https://host/x.git", "--include", "x"],
    ["git:https://host/x.git", "--stream", "a=b"],
    ["git:ext::sh"],
    ["git:https://user:open-sesame@host/x.git"],
  ] as [string, ...string[]][]) {
    const said = world.fails("admin", exitCode.usage, "source", "add", "wrong", url, ...options)
    assert.doesNotMatch(said, /sesame/)
  }
  assert.doesNotMatch(world.ok("admin", "source", "list"), /^wrong/m)
})
