// Every command of docs/recovery.md, run as written by the person it is for, on an archive that the command line made.
// The restored directories are compared with the original, and so is recover.sh with what the policy says of it.

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { finished, type Outcome, recoverScript } from "./environments.ts"

const root = join(import.meta.dirname, "../..")
const place = mkdtempSync(join(tmpdir(), "rdoc-"))
const people = ["admin", "operator", "holder"]
after(() => {
  for (const who of people) execFileSync("gpgconf", ["--homedir", join(place, who), "--kill", "all"])
  rmSync(place, { recursive: true, force: true })
})

/** Makes a keyring with one key, and the certificate beside it; the fingerprint. */
function person(name: string): string {
  const home = join(place, name)
  mkdirSync(home, { mode: 0o700 })
  const empty = ["--pinentry-mode", "loopback", "--passphrase", ""]
  const gpg = (...args: string[]): string =>
    execFileSync("gpg", ["--homedir", home, "--batch", "--quiet", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    })
  gpg(...empty, "--quick-gen-key", `${name} <${name}@example.org>`, "ed25519", "sign", "never")
  const fingerprint = /^fpr:+([0-9A-F]{40})/m.exec(gpg("--with-colons", "--list-keys"))?.[1] ?? ""
  gpg(...empty, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
  writeFileSync(
    join(place, `${name}.asc`),
    gpg("--armor", "--export-options", "export-minimal", "--export", fingerprint),
  )
  return fingerprint
}

/** The page's blocks of commands, each with the person who runs it. */
function blocks(page: string): { who: string; commands: string }[] {
  return [...page.matchAll(/^```sh (\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    who: match[1] ?? "",
    commands: match[2] ?? "",
  }))
}

test("docs/recovery.md does what it says", async () => {
  const page = readFileSync(join(root, "docs/recovery.md"), "utf8")
  const found = blocks(page)
  assert.ok(found.length >= 9)
  // No block of commands can be there that this test passes over.
  assert.equal(found.length, [...page.matchAll(/^```(?!text$)\S/gm)].length)

  const [admin = ""] = people.map(person)
  const bin = join(place, "bin")
  mkdirSync(bin)
  writeFileSync(
    join(bin, "backup-cloud"),
    `#!/bin/sh\nexec ${process.execPath} --conditions=source ${join(root, "packages/cli/bin/backup-cloud.js")} "$@"\n`,
  )
  chmodSync(join(bin, "backup-cloud"), 0o755)
  const variables: Record<string, string> = { ARCHIVE: join(place, "archive"), ADMIN: admin, SOURCE: "docs" }
  const shell = async (who: string, commands: string): Promise<Outcome> => {
    const home = join(place, who)
    const env = {
      ...variables,
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      HOME: home,
      GNUPGHOME: home,
      BACKUP_CLOUD_HOME: join(home, "backup-cloud"),
      BACKUP_CLOUD_CONFIG: join(home, "backup-cloud.yaml"),
    }
    const done = await finished(["/bin/sh", "-ec", `cd ${place}\n${commands}`], env)
    assert.equal(done.code, 0, `${who}: ${commands}\n${done.out}${done.err}`)
    return done
  }

  const data = join(place, "data")
  mkdirSync(join(data, "sub dir"), { recursive: true })
  writeFileSync(join(data, "text"), "hello\n")
  writeFileSync(join(data, "sub dir/empty"), "")
  writeFileSync(join(data, "sub dir/10 MB"), createHash("sha512").update("x").digest("hex").repeat(80_000))
  mkdirSync(join(place, "archive"))
  await shell(
    "admin",
    `backup-cloud init archive --admin ${admin} --holder holder.asc --operator operator.asc
    backup-cloud source add docs dir://${data}
    backup-cloud backup`,
  )
  variables["RUN"] = readdirSync(join(place, "archive/backup/docs")).sort().at(-1) ?? ""
  await shell("holder", `backup-cloud trust admin.asc ${admin} --yes`)
  for (const { who, commands } of found) {
    assert.ok(people.includes(who), who)
    const done = await shell(who, commands)
    assert.doesNotMatch(done.err, /NOT AUTHENTICATED/)
  }
  for (const restored of ["restored", "from-release", "from-key"]) {
    const compared = await finished(
      ["rsync", "-aHn", "--checksum", "--delete", "--itemize-changes", `${data}/`, `${join(place, restored)}/`],
      { PATH: process.env["PATH"] ?? "" },
    )
    assert.equal(`${compared.code} ${compared.out}${compared.err}`, "0 ", restored)
  }
  assert.deepEqual(readFileSync(join(place, "archive/recover.sh")), recoverScript)
})
