// Real gpg for the tests: keys in one home, and the few commands a person would type.

import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import type { Certificate } from "@backup-cloud/openpgp"

export interface Gpg {
  readonly home: string
  run(args: readonly string[], input?: Uint8Array): Buffer
  /** Makes a key and gives its certificate. */
  key(name: string): Certificate
  detached(by: Certificate, bytes: Uint8Array): Buffer
  /** A signed message, as an operator makes it. */
  signed(by: Certificate, bytes: Uint8Array, extra?: readonly string[]): Buffer
  seal(to: readonly Certificate[], bytes: Uint8Array): Buffer
  /** Ends the agent and removes the home. */
  close(): void
}

/** A home of its own with a short path, in which nothing asks for a passphrase. */
export function openGpg(): Gpg {
  const home = mkdtempSync("/tmp/kh-")
  // What a person answers in a window, answered here in advance.
  writeFileSync(join(home, "gpg.conf"), 'batch\npinentry-mode loopback\npassphrase ""\n')
  const run = (args: readonly string[], input: Uint8Array = new Uint8Array()): Buffer => {
    const done = spawnSync("gpg", ["--homedir", home, "--quiet", ...args], { input, maxBuffer: 1 << 28 })
    if (done.error !== undefined)
      throw new BackupError("unavailable", "gpg is missing", { cause: done.error, hint: "apt-get install gnupg" })
    if (done.status !== 0) throw new Error(`gpg ${args.join(" ")}: ${done.stderr.toString()}`)
    return done.stdout
  }
  let files = 0
  const file = (bytes: Uint8Array): string => {
    mkdirSync(join(home, "files"), { recursive: true })
    const path = join(home, "files", String(files++))
    writeFileSync(path, bytes)
    return path
  }
  return {
    home,
    run,
    key(name) {
      run(["--quick-generate-key", `${name} <${name}@example.org>`, "future-default", "default", "never"])
      const listed = run(["--with-colons", "--list-keys", `=${name} <${name}@example.org>`]).toString()
      const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? ""
      return { fingerprint, bytes: run(["--armor", "--export", fingerprint]) }
    },
    detached: (by, bytes) => run(["--detach-sign", "--digest-algo", "SHA256", "--local-user", by.fingerprint], bytes),
    signed: (by, bytes, extra = []) =>
      run(["--sign", "--compress-algo", "none", ...extra, "--local-user", by.fingerprint], bytes),
    seal(to, bytes) {
      const recipients = to.flatMap((each) => ["--recipient-file", file(each.bytes)])
      return run(["--encrypt", "--cipher-algo", "AES256", "--compress-algo", "none", ...recipients], bytes)
    },
    close() {
      spawnSync("gpgconf", ["--homedir", home, "--kill", "all"])
      rmSync(home, { recursive: true, force: true })
    },
  }
}
