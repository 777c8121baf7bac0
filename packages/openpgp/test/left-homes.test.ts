// What a process that is killed leaves in the temporary folder: the next one that makes a home removes it.

import assert from "node:assert/strict"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { BackupError } from "@backup-cloud/format"
import { openGpgHome } from "@backup-cloud/openpgp"

let parent = ""
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "homes-"))
})
afterEach(() => {
  rmSync(parent, { recursive: true, force: true })
})

/** A process that makes a home in `parent`, starts an agent there and then waits; with the home's path. */
async function holding(): Promise<{ child: ChildProcess; home: string }> {
  const script = `
    const { openGpgHome } = await import("@backup-cloud/openpgp")
    const { generateKey, importSecretKey } = await import("@backup-cloud/openpgp/keygen")
    const home = await openGpgHome({ parent: ${JSON.stringify(parent)} })
    await importSecretKey(home, (await generateKey({ userId: "a", kind: "sign" })).secretKey)
    console.log(home.path)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, [...process.execArgv, "--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "inherit"],
  })
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  return { child, home: line.toString().trim() }
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL")
  await once(child, "close")
}

function agentOf(home: string): number {
  const args = ["--homedir", home, "--no-autostart", "GETINFO pid", "/bye"]
  return Number(/^D ([0-9]+)$/m.exec(execFileSync("gpg-connect-agent", args, { encoding: "utf8" }))?.[1])
}

/** Whether a process is there and has not ended. */
function lives(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"))
  } catch {
    return false
  }
}

test("the home of a process that was killed goes with its agent, that of one that runs stays", async () => {
  const one = await holding()
  const other = await holding()
  const [agent, otherAgent] = [agentOf(one.home), agentOf(other.home)]
  await killed(one.child)
  assert.ok(existsSync(one.home) && lives(agent))

  await using home = await openGpgHome({ parent })
  assert.equal(existsSync(one.home), false)
  while (lives(agent)) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(existsSync(other.home) && lives(otherAgent) && existsSync(home.path ?? ""))

  await killed(other.child)
  await (await openGpgHome({ parent }))[Symbol.asyncDispose]()
  assert.equal(existsSync(other.home), false)
  assert.ok(existsSync(home.path ?? ""), "of this process, which runs")
})

test("nothing is removed that does not say it is such a home, or whose process cannot be judged", async () => {
  const { child, home } = await holding()
  await killed(child)
  const mark = readFileSync(join(home, "process"), "latin1")
  const make = (name: string, text: string | null): string => {
    mkdirSync(join(parent, name))
    if (text !== null) writeFileSync(join(parent, name, "process"), text)
    return join(parent, name)
  }
  const elsewhere = mkdtempSync(join(tmpdir(), "elsewhere-"))
  writeFileSync(join(elsewhere, "process"), mark)
  symlinkSync(elsewhere, join(parent, "bc-link00"))
  const kept = [
    make("bc-silent", null),
    make("bc-other0", "something else"),
    make("bc-foreig", mark.replace(/pid:\[[0-9]+\]/, "pid:[1]")),
    make("bc-longer-name", mark),
    join(elsewhere, "process"),
  ]
  const gone = make("bc-ended0", mark)
  await (await openGpgHome({ parent }))[Symbol.asyncDispose]()
  assert.deepEqual(
    kept.filter((path) => !existsSync(path)),
    [],
  )
  assert.deepEqual([existsSync(gone), existsSync(home)], [false, false])
  rmSync(elsewhere, { recursive: true })
})

test("where no home can be made, the fault says where and what to do", async () => {
  const nowhere = join(parent, "nowhere")
  await assert.rejects(openGpgHome({ parent: nowhere }), (error) => {
    assert.ok(error instanceof BackupError)
    assert.deepEqual([error.fault, error.message.startsWith(`${nowhere}: `)], ["unavailable", true])
    assert.match(error.hint ?? "", /TMPDIR/)
    return true
  })
  mkdirSync(nowhere)
  await using home = await openGpgHome({ parent: nowhere })
  assert.ok(existsSync(home.path ?? ""))
})
