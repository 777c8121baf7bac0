// A deployment installs only what it uses: `backup` and one source alone, in an empty directory, back up into an archive
// that the command made; and the command without a source's package says which one it lacks, and works with it.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { World } from "../packages/cli/test/world.ts"
import { exitCode } from "../packages/format/src/index.ts"
import { bin, closure, env, manifests, type Packed, pack, root } from "./packed.ts"

const world = new World()
const data = world.file("data")
let packed: Packed

before(() => {
  execFileSync(join(bin, "tsc"), ["--build"], { cwd: root, env })
  packed = pack()
  mkdirSync(join(data, "folder"), { recursive: true })
  writeFileSync(join(data, "folder", "letter"), "Dear all,\n")
  world.start(data)
})
after(() => {
  packed.remove()
  world.end()
})

/** A program of its own: nothing but what `backup`, what that depends on and the source export. */
const program = `
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { backup, startWorkers } from "@backup-cloud/backup"
import { openGpgHome } from "@backup-cloud/openpgp"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgSealer } from "@backup-cloud/openpgp/seal"
import { importedGpgSigner } from "@backup-cloud/openpgp/sign"
import { gpgVerifier } from "@backup-cloud/openpgp/verify"
import { dirSource } from "@backup-cloud/source-dir"
import { openStore } from "@backup-cloud/store"
import { loadTrust, memoryFile, readRuns } from "@backup-cloud/trust"

const [archive, home, name, root] = process.argv.slice(2)
const { signal } = new AbortController()
await using gpg = await openGpgHome()
await using signing = await openGpgHome()
await using verifier = await gpgVerifier(gpg)
const store = await openStore(archive, {})
const memory = memoryFile(home + "/trust.json")
const { admin } = await memory.read()
const trust = await loadTrust({ reader: store, verifier, admin, home: memory, signal, strict: true })
const keys = home + "/sources/" + name
const secret = Buffer.from(readFileSync(keys + "/secret", "utf8").trim(), "hex")
await using pool = startWorkers(1, secret)
const result = await backup({
  source: dirSource({ root }),
  entry: trust.policy.sources.find((source) => source.name === name),
  policy: trust.policy,
  holders: trust.policy.holders.map((holder) => trust.certificates.get(holder.sha256)),
  earlier: () => readRuns(trust, store, name, signal),
  secret,
  reader: store,
  writer: store,
  sealer: gpgSealer(gpg),
  opener: gpgPassphraseOpener(gpg),
  signer: await importedGpgSigner(signing, readFileSync(keys + "/signing-key.asc")),
  proveAll: false,
  pool,
  checkpointEvery: 3_600_000,
  now: () => new Date(),
  random: (count) => new Uint8Array(randomBytes(count)),
  onEvent: () => undefined,
  stop: signal,
  signal,
})
console.log(result.outcome, result.run)
`

test("backup and one source, alone in an empty directory, back up", () => {
  const { own, foreign } = closure("@backup-cloud/backup", "@backup-cloud/source-dir")
  const folder = packed.unpack("source-machine", own, foreign)
  assert.deepEqual(
    readdirSync(join(folder, "node_modules/@backup-cloud")).sort(),
    ["backup", "format", "openpgp", "source-dir", "store", "trust"],
    "and nothing that restores or opens run keys",
  )
  writeFileSync(join(folder, "main.js"), program)
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  const args = ["main.js", world.archive, world.file("admin/backup-cloud"), "docs", data]
  const done = spawnSync(join(bin, "node"), args, { cwd: folder, env: { PATH: env.PATH }, encoding: "utf8" })
  assert.match(done.stdout, /^complete /, done.stderr)
  assert.equal(done.stdout.trim().split(" ")[1], world.runs()[0])
  world.ok("admin", "verify")
  const target = world.file("restored")
  world.ok("oscar", "restore", "docs@latest", "--release", world.release("docs@latest", "release"), "--to", target)
  assert.equal(readFileSync(join(target, "folder", "letter"), "utf8"), "Dear all,\n")
})

test("the command without a source's package says what to install, and with it works", () => {
  const { own, foreign } = closure("@backup-cloud/cli")
  const folder = packed.unpack("command", own, foreign)
  const script = join(
    folder,
    "node_modules/@backup-cloud/cli",
    manifests.get("@backup-cloud/cli")?.bin?.["backup-cloud"] ?? "",
  )
  const places = ["--home", world.file("admin/backup-cloud"), "--config", world.file("admin/backup-cloud.yaml")]
  const run = (...args: string[]) =>
    spawnSync(join(bin, "node"), [script, ...args, ...places], { env: { PATH: env.PATH }, encoding: "utf8" })
  world.ok("admin", "source", "add", "db", "command:", "--stream", "dump.sql=echo hello")
  assert.equal(run("backup", "docs").status, 0, "directories need no other package")
  const count = world.objects("backup/db").length
  for (const [package_, ...args] of [
    ["source-command", "backup", "db"],
    ["source-ssm", "ssm", "export", "ssm:/x?region=us-east-1"],
  ]) {
    const { status, stderr } = run(...args)
    assert.equal(status, exitCode.usage, stderr)
    assert.match(stderr, new RegExp(`@backup-cloud/${package_ ?? ""} is not installed; nothing was done`))
    assert.match(stderr, new RegExp(`npm install @backup-cloud/${package_ ?? ""}$`, "m"))
  }
  assert.equal(world.objects("backup/db").length, count)
  packed.unpack("command", ["@backup-cloud/source-command"], [])
  const { status, stderr } = run("backup", "db")
  assert.equal(status, 0, stderr)
  assert.equal(world.runs("db").length, 1)
})
