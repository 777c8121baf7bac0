// The whole journey in under a minute, on a directory archive with fresh keys: two holders, an operator, an administrator
// and a source. Each command is printed before it runs. Usage: npm run demo [-- DIR]

import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const data = resolve(process.argv[2] ?? root)
const place = mkdtempSync(join(tmpdir(), "bc-demo-"))
const command = join(root, "packages/cli/bin/backup-cloud.js")
const started = Date.now()

const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** Makes a person: a keyring of their own with one key, and their certificate in a file. Returns the fingerprint. */
function person(name: string): string {
  const home = join(place, name)
  mkdirSync(home, { mode: 0o700 })
  const gpg = (...args: string[]): Buffer =>
    execFileSync("gpg", ["--homedir", home, "--batch", "--quiet", ...args], { stdio: ["ignore", "pipe", "ignore"] })
  // A demonstration: real keys have a passphrase, or better lie on a smartcard.
  gpg(
    "--pinentry-mode",
    "loopback",
    "--passphrase",
    "",
    "--quick-gen-key",
    `${name} <${name}@demo.example>`,
    "ed25519",
    "sign",
    "never",
  )
  const fingerprint = /^fpr:+([0-9A-F]{40})/m.exec(gpg("--with-colons", "--list-keys").toString())?.[1] ?? ""
  gpg("--pinentry-mode", "loopback", "--passphrase", "", "--quick-add-key", fingerprint, "cv25519", "encr", "never")
  writeFileSync(
    join(place, `${name}.asc`),
    gpg("--armor", "--export-options", "export-minimal", "--export", fingerprint),
  )
  return fingerprint
}

/** Runs the command as one of the people, each with a home of their own; prints it first. */
function as(who: string, ...args: string[]): string {
  say(
    `\n${who}$ backup-cloud ${args
      .map((arg) => (/[\s*]/.test(arg) ? `'${arg}'` : arg))
      .join(" ")
      .replaceAll(`${place}/`, "")}`,
  )
  const env = {
    ...process.env,
    GNUPGHOME: join(place, who),
    BACKUP_CLOUD_HOME: join(place, who, "backup-cloud"),
    BACKUP_CLOUD_CONFIG: join(place, who, "backup-cloud.yaml"),
  }
  const result = spawnSync(process.execPath, [command, ...args], { cwd: place, env, encoding: "utf8" })
  say((result.stdout + result.stderr).trimEnd().replaceAll(`${place}/`, ""))
  if (result.status !== 0) throw new Error(`the command failed with ${result.status ?? "a signal"}`)
  return result.stdout
}

try {
  say(`backing up ${data}\nmaking keys for an administrator, two key holders and an operator`)
  const archive = join(place, "archive")
  mkdirSync(archive)
  const admin = person("admin")
  for (const name of ["alice", "bob", "oscar"]) person(name)
  as(
    "admin",
    "init",
    archive,
    "--admin",
    admin,
    "--holder",
    join(place, "alice.asc"),
    "--holder",
    join(place, "bob.asc"),
    "--operator",
    join(place, "oscar.asc"),
  )
  as("admin", "source", "add", "docs", `dir://${encodeURI(data)}`, "--exclude", "node_modules", "--exclude", ".git")
  as("admin", "backup")
  as("admin", "backup")
  as("admin", "verify")
  as("oscar", "trust", archive, admin, "--yes")
  as("oscar", "runs")
  as("oscar", "request", "docs@latest", "--reason", "a demonstration", "--out", join(place, "request"))
  as("alice", "trust", join(place, "admin.asc"), admin, "--yes")
  as("alice", "keyholder", "approve", join(place, "request"), "--out", join(place, "release"), "--yes")
  as("oscar", "restore", "docs@latest", "--release", join(place, "release"), "--to", join(place, "restored"))
  say("\ncomparing what was restored with what was backed up")
  const difference = spawnSync(
    "diff",
    ["-r", "--no-dereference", "--exclude=node_modules", "--exclude=.git", data, join(place, "restored")],
    { encoding: "utf8" },
  )
  say(difference.stdout + difference.stderr)
  if (difference.status !== 0) throw new Error("they differ")
  say(`equal. ${((Date.now() - started) / 1000).toFixed(0)} seconds.`)
} finally {
  for (const name of ["admin", "alice", "bob", "oscar"])
    spawnSync("gpgconf", ["--homedir", join(place, name), "--kill", "all"])
  rmSync(place, { recursive: true, force: true })
}
