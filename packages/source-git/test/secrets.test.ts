// The token is nowhere but in a private file in memory while git runs: not in the process table, environments, events,
// errors, the archive or the mirror.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { BackupError, processMark } from "@backup-cloud/format"
import { makeMachine } from "../../backup/test/machine.ts"
import { collect, signal } from "../../trust/test/archive.ts"
import { gitSource } from "../src/index.ts"
import { basic } from "./server.ts"
import { inFiles, inProcesses, privateFolders, watched } from "./watch.ts"
import { account, commitLarge, makeLab } from "./world.ts"

const lab = await makeLab()
const secrets = [account.password, basic(account).slice("Basic ".length)]
const folders = (): string[] => privateFolders(account.password)

test("what looks for a token finds one in arguments and in an environment", async () => {
  const child = spawn("sleep", ["60"], { env: { TOKEN: account.password } })
  const other = spawn("sh", ["-c", "read line; :", account.password])
  await Promise.all([once(child, "spawn"), once(other, "spawn")])
  const found = inProcesses(secrets)
  child.kill()
  other.kill()
  assert.ok(found.some((line) => line.startsWith("environ")))
  assert.ok(found.some((line) => line.startsWith("cmdline")))
  await Promise.all([once(child, "close"), once(other, "close")])
})

test("a backup shows the token to nobody, and leaves no file of it", async () => {
  const work = lab.repository("secret")
  commitLarge(lab, work, "a.bin", 40_000)
  const source = gitSource(lab.options("secret"))
  const machine = await makeMachine(source)
  const events: unknown[] = []
  const modes: number[] = []
  lab.server.intercept = () => {
    for (const path of folders()) modes.push(statSync(path).mode & 0o777, statSync(`${path}/credential`).mode & 0o777)
    return null
  }
  const { found, looks } = await watched(
    secrets,
    machine.backup(machine.store, { onEvent: (event) => events.push(event) }),
  )
  assert.deepEqual(found, [])
  assert.ok(looks > 10, `${looks} looks`)
  assert.deepEqual([...new Set(modes)].sort(), [0o600, 0o700])
  assert.ok(
    lab.server.asked.some((line) => line.endsWith(" known")),
    "the token was used",
  )
  assert.deepEqual(folders(), [])
  assert.doesNotMatch(JSON.stringify(events), new RegExp(account.password))
  assert.deepEqual(inFiles(secrets, join(lab.options("secret").cache, "secret.git")), [])
  for await (const { name } of machine.store.list("", signal))
    for (const secret of secrets)
      assert.ok(!Buffer.concat(await collect(machine.store.read(name, signal))).includes(secret), name)
  for (const [path, content] of await machine.content(machine.store, "latest"))
    for (const secret of secrets) assert.ok(!content.includes(secret), path)
})

test("an error does not tell it, even if the server repeats it", async () => {
  lab.repository("echo")
  const env = { ...process.env, PATH: join(lab.place, "echo-bin") }
  mkdirSync(env.PATH)
  // As a server can: what it says comes out of git's standard error.
  const script = `#!/bin/sh\nexport PATH=/usr/bin:/bin\ncase "$*" in *fetch*) cat $HOME/credential >&2; exit 128;; esac\nexec git "$@"\n`
  writeFileSync(join(env.PATH, "git"), script, { mode: 0o700 })
  const error: unknown = await collect(gitSource({ ...lab.options("echo"), env }).entries(signal)).catch(
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof BackupError)
  assert.match(error.message, /password=\*\*\*/)
  for (let each: unknown = error; each instanceof Error; each = each.cause)
    for (const secret of secrets) assert.ok(!`${each.message} ${each.stack ?? ""}`.includes(secret))
})

test("what a killed process left is removed, and what belongs to a running one stays", async () => {
  lab.server.intercept = () => null
  lab.repository("left")
  const [ended, running] = ["backup-cloud-git-ended0", "backup-cloud-git-alive0"].map((name) => `/dev/shm/${name}`)
  assert.ok(ended !== undefined && running !== undefined)
  const mark = (await processMark()) ?? ""
  for (const [path, owner] of [
    [ended, mark.replace(/^[0-9]+ [0-9]+/, "1 1")],
    [running, mark],
  ] as const) {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    writeFileSync(join(path, "owner"), owner)
  }
  await collect(gitSource(lab.options("left")).entries(signal))
  assert.ok(!existsSync(ended))
  assert.ok(existsSync(running))
  writeFileSync(join(running, "owner"), mark.replace(/^[0-9]+ [0-9]+/, "1 1"))
  await collect(gitSource(lab.options("left")).entries(signal))
  assert.ok(!existsSync(running))
})
