// What the command says when a source can't use the state of its last run: a remark where it is gone, a warning, also with
// --quiet, where this machine may not read it, since that costs a whole backup each time.

import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { noise } from "../../store/test/helpers.ts"
import { World } from "./world.ts"

const program = join(import.meta.dirname, "../bin/backup-cloud.js")
const world = new World()
const data = world.file("data")

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "file"), noise(1_000_000))
  world.start(data)
  world.ok("admin", "backup")
})
after(() => {
  world.end()
})

/** A backup by a process for which file permissions hold, though it may be root's. */
function backup(...options: string[]): string {
  const home = world.file("admin")
  const env = {
    ...process.env,
    GNUPGHOME: home,
    BACKUP_CLOUD_HOME: join(home, "backup-cloud"),
    BACKUP_CLOUD_CONFIG: join(home, "backup-cloud.yaml"),
    NODE_OPTIONS: "--conditions=source",
  }
  const limits = ["--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
  const command = [process.execPath, program, "backup", ...options]
  const [first = "", ...rest] = process.getuid?.() === 0 ? ["setpriv", ...limits, ...command] : command
  const { status, stdout, stderr } = spawnSync(first, rest, { env, encoding: "utf8" })
  assert.equal(status, 0, stdout + stderr)
  return options.includes("--json") ? stdout : stderr
}

/** Gives the files of all states these permissions. */
function permit(mode: number): void {
  for (const name of world.objects("state/")) chmodSync(join(world.archive, name), mode)
}

test("a state that may be read is not spoken of", () => {
  assert.equal(backup("--quiet"), "")
})

test("a state without the right to read it is warned of each time, with what to do, until the right is given", () => {
  for (let i = 0; i < 2; i++) {
    permit(0)
    const said = backup("--quiet")
    assert.match(said, /^WARNING: docs: this machine has no right to read state\/docs\/: everything is read and stored/)
    assert.match(said, /\(state\/docs\/\S+\/root-0001\.gpg: .*EACCES.*\)\n {2}→ give it that right: .*policy print/)
  }
  permit(0)
  const events = backup("--json").trimEnd().split("\n")
  const state = events.map((line) => JSON.parse(line) as Record<string, unknown>).find((e) => e["event"] === "state")
  assert.deepEqual([state?.["why"], state?.["source"], state?.["instead"]], ["denied", "docs", null])
  permit(0o644)
  assert.equal(backup("--quiet"), "")
})

test("a state that is gone is a remark, and none with --quiet", () => {
  const gone = (): void => {
    rmSync(join(world.archive, "state"), { recursive: true })
  }
  gone()
  assert.match(backup(), /^docs: the state of run \S+ is missing: everything is read and stored again \(state\/docs\//m)
  gone()
  assert.equal(backup("--quiet"), "")
})
