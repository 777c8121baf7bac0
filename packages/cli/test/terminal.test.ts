// What the program does at a terminal and not elsewhere: progress in one line that changes, questions, passphrases. The
// terminal is a real one, by script(1).

import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { noise } from "../../store/test/helpers.ts"
import { of, run } from "./run.ts"
import { type Ended, fromSources, World } from "./world.ts"

const world = new World()
const data = world.file("data")
const program = join(import.meta.dirname, "../bin/backup-cloud.js")
const LINE = "\r\u001b[K"

before(() => {
  mkdirSync(data)
  writeFileSync(join(data, "a"), noise(3_000_000))
  world.start(data)
})
after(() => {
  world.end()
})

/** Runs the command at a terminal, where `typed` is typed. Standard output and error come as one. */
async function atTerminal(who: string, typed: string, args: readonly string[], env = {}): Promise<Ended> {
  const words = [process.execPath, program, ...args].map((word) => `'${word}'`).join(" ")
  const child = spawn("script", ["--quiet", "--return", "--flush", "--command", words, "/dev/null"], {
    ...{ cwd: world.place, stdio: ["pipe", "pipe", "pipe"] },
    env: { ...of(world, who).env, ...fromSources, SHELL: "/bin/sh", ...env },
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (piece: Buffer) => (stdout += piece.toString()))
  child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()))
  child.stdin.write(typed)
  return await new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (status) => {
      child.stdin.end()
      resolve({ status, stdout, stderr })
    })
  })
}

/** The lines that were shown one in the place of the other. */
const shown = (text: string): string[] => text.split(LINE).slice(1)

test("progress at a terminal, none with --quiet or --json, none where there is no terminal", async () => {
  const release = (): string => world.release("docs@latest", "release")
  const restore = (to: string): string[] => ["restore", "docs@latest", "--release", world.file("release"), "--to", to]
  const commands: readonly (readonly [string, (name: string) => string[], RegExp])[] = [
    ["admin", () => ["backup"], /^docs {2}[0-9]+ entries {2}/],
    ["admin", () => ["backup"], /^docs {2}\[=*>? *\] +[0-9]+% {2}\S+ \S+ of about 2\.9 MiB/],
    ["oscar", () => ["verify"], /^verify {2}\[=*>? *\] +[0-9]+% {2}\S+ \S+ of [0-9.]+ MiB/],
    ["oscar", (name) => restore(world.file(name)), /^docs {2}\[=*>? *\] +[0-9]+% {2}\S+ \S+ of 2\.9 MiB/],
  ]
  for (const [index, [who, command, line]] of commands.entries()) {
    if (index === 3) release()
    const { status, stdout } = await atTerminal(who, "", command("terminal"))
    assert.equal(status, 0, stdout)
    assert.ok(
      shown(stdout).some((each) => line.test(each)),
      `${line.source}\n${shown(stdout).join("\n")}`,
    )
    // What stays is the result; nothing of the progress is left in its line.
    assert.match(shown(stdout).at(-1) ?? "", /^(?:docs: complete|Read|Restored)\b/)
    for (const option of ["--quiet", "--json"]) {
      const quiet = await atTerminal(who, "", [...command(`terminal${option}`), option])
      assert.equal(quiet.status, 0, quiet.stdout)
      assert.ok(!quiet.stdout.includes(LINE), quiet.stdout)
    }
    const plain = await run(of(world, who), ...command("plain"))
    assert.equal(plain.status, 0, plain.stderr)
    assert.ok(!(plain.stdout + plain.stderr).includes("\u001b"))
  }
})

test("a question is answered at a terminal, and is an error where nobody can answer", async () => {
  const admin = world.fingerprints.get("admin") ?? ""
  const trust = ["trust", world.file("admin.asc"), admin]
  const no = await atTerminal("bob", "n\n", trust)
  assert.equal(no.status, 12, no.stdout)
  assert.match(no.stdout, /nothing was done/)
  world.fails("bob", 2, ...trust)
  const yes = await atTerminal("bob", "y\n", trust)
  assert.equal(yes.status, 0, yes.stdout)
  assert.match(yes.stdout, /This machine trusts/)
})

const PASSPHRASE = "secret-words"
const forget = (name: string): void => {
  execFileSync("gpgconf", ["--homedir", world.file(name), "--kill", "all"])
}

/** A keyring whose key has a passphrase, and whose pinentry notes at which terminal it is to ask. */
function guarded(name: string): { fingerprint: string; asked: () => string } {
  const home = world.file(name)
  mkdirSync(home, { mode: 0o700 })
  const note = join(home, "asked")
  const pinentry = join(home, "pinentry")
  const script = `#!/bin/sh
echo "OK here"
while read -r word rest; do
  case "$word $rest" in
    "OPTION ttyname="*) echo "$rest" >> ${note} ;;
    "GETPIN "*) echo "D ${PASSPHRASE}" ;;
    "BYE "*) echo OK; exit 0 ;;
  esac
  echo OK
done
`
  writeFileSync(pinentry, script, { mode: 0o755 })
  writeFileSync(join(home, "gpg-agent.conf"), `pinentry-program ${pinentry}\n`)
  const gpg = (...args: string[]): string =>
    execFileSync("gpg", ["--homedir", home, "--batch", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    })
  const open = ["--pinentry-mode", "loopback", "--passphrase", PASSPHRASE]
  gpg(...open, "--quick-gen-key", `${name} <${name}@test.example>`, "ed25519", "sign", "never")
  const fingerprint = /^fpr:+([0-9A-F]{40})/m.exec(gpg("--with-colons", "--list-keys"))?.[1] ?? ""
  world.fingerprints.set(name, fingerprint)
  // The agent has seen the passphrase.
  forget(name)
  return {
    fingerprint,
    asked: () => {
      const said = readFileSync(note, "utf8").trim()
      rmSync(note)
      return said
    },
  }
}

test("a passphrase is asked for at the terminal of the command, or at the one that GPG_TTY names", async () => {
  const { fingerprint, asked } = guarded("gerda")
  const init = (name: string): string[] => {
    const places = ["--home", world.file(`${name}-home`), "--config", world.file(`${name}.yaml`)]
    return ["init", world.file(name), "--admin", fingerprint, "--holder", world.file("alice.asc"), ...places]
  }
  const first = await atTerminal("gerda", "", init("first"))
  assert.equal(first.status, 0, first.stdout)
  assert.match(asked(), /^ttyname=\/dev\/pts\/[0-9]+$/)
  forget("gerda")
  const second = await atTerminal("gerda", "", init("second"), { GPG_TTY: "/dev/pts/999" })
  assert.equal(second.status, 0, second.stdout)
  assert.equal(asked(), "ttyname=/dev/pts/999")
})
