// The README's first archive: each block is run in a shell by the person it is for, as it stands there but for the places
// and keys of this test, the yes that a person would type, and where systemd keeps its units.

import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { of } from "./run.ts"
import { fromSources, World } from "./world.ts"

const root = join(import.meta.dirname, "../../..")
const readme = readFileSync(join(root, "README.md"), "utf8")
const blocks = [...readme.matchAll(/^```sh ?(\w*)\n(.*?)^```$/gms)].map(([, who = "", text = ""]) => ({ who, text }))

const world = new World()
const bin = world.file("bin")
const units = world.file("units")
const people: Readonly<Record<string, string>> = {
  administrator: "admin",
  operator: "oscar",
  holder: "alice",
  machine: "machine",
}

before(() => {
  for (const name of ["admin", "alice", "bob", "oscar"]) world.person(name)
  // The reader makes this one.
  execFileSync("rm", [world.file("admin.asc")])
  for (const name of ["bin", "units", "machine", "docs", "mail", "tmp"]) mkdirSync(world.file(name), { mode: 0o700 })
  writeFileSync(join(world.file("docs"), "letter"), "Dear all,\n")
  writeFileSync(join(world.file("mail"), "inbox"), "From: nobody\n")
  const program = join(import.meta.dirname, "../bin/backup-cloud.js")
  const commands: Readonly<Record<string, string>> = {
    "backup-cloud": `exec ${process.execPath} ${program} "$@"`,
    sh: `sed 's|/etc/systemd/system/|${units}/|' | /bin/sh -eu`,
    systemctl: `echo "$@" >> ${units}/called`,
  }
  for (const [name, line] of Object.entries(commands))
    writeFileSync(join(bin, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 })
})
after(() => {
  world.end()
})

test("the first archive works as written", () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const places: readonly (readonly [string | RegExp, string])[] = [
    ["FINGERPRINT", admin],
    ["KEYID", admin.slice(-16)],
    ["/mnt/archive", world.archive],
    ["/srv/docs", world.file("docs")],
    ["/srv/mail", world.file("mail")],
    ["/srv/restored", world.file("restored")],
    [/^backup-cloud (?:trust|keyholder approve) .*$/gm, "$& --yes"],
  ]
  const named = blocks.filter(({ who }) => who !== "")
  assert.deepEqual(
    named.map(({ who }) => who),
    ["administrator", "operator", "holder", "operator", "machine", "administrator", "machine"],
  )
  for (const { who, text } of named) {
    const script = places.reduce((line, [from, to]) => line.replaceAll(from, to), text)
    const { env, cwd } = of(world, people[who] ?? "", { ...fromSources, TMPDIR: world.file("tmp") })
    const done = spawnSync("/bin/sh", ["-euc", script], {
      ...{ cwd, encoding: "utf8" },
      env: { ...env, PATH: `${bin}:${env["PATH"] ?? ""}` },
    })
    assert.equal(done.status, 0, `${who}: ${script}\n${done.stdout}${done.stderr}`)
  }
  execFileSync("diff", ["-r", world.file("docs"), world.file("restored")])
  assert.equal(readFileSync(join(units, "called"), "utf8"), "daemon-reload\nenable --now backup-cloud-mail.timer\n")
})

test("what the checkout is said to have is there: npm's scripts, and the command on the PATH", () => {
  const lines = blocks.filter(({ who }) => who === "").flatMap(({ text }) => text.trim().split("\n"))
  assert.equal(lines.length, 3)
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Readonly<Record<string, string>>
  }
  for (const line of lines) {
    // `npm ci` has been done, or this would not run.
    const [, rest = ""] = /^npm ci && (.*)$/.exec(line) ?? []
    const [, script] = /^npm (?:run )?([a-z]+)$/.exec(rest) ?? []
    if (script !== undefined) {
      const [, file = ""] = /^node (\S+)$/.exec(scripts[script] ?? "") ?? []
      assert.ok(existsSync(join(root, file)) && file !== "", line)
      continue
    }
    const env = { PATH: dirname(execFileSync("sh", ["-c", "command -v sh"], { encoding: "utf8" })), ...fromSources }
    const done = spawnSync("/bin/sh", ["-euc", `${rest}\nbackup-cloud --version`], { cwd: root, env, encoding: "utf8" })
    assert.match(done.stdout, /^[0-9]+\.[0-9]+\.[0-9]+\n$/, done.stderr)
  }
})
