// The people of a test and the real command run as each of them, a process at a time. Every person has a home of their
// own: keyring, pin, memory, configuration. Paths are short, because agents listen on sockets in the keyrings.

import assert from "node:assert/strict"
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../..")
export const command: string = join(root, "packages/cli/bin/backup-cloud.js")

export type Role = "admin" | "anna" | "berta" | "otto"
const roles: readonly Role[] = ["admin", "anna", "berta", "otto"]

export interface Outcome {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

export interface People extends Disposable {
  /** Everything lies below it. */
  readonly place: string
  /** Directory of the archive. */
  readonly archive: string
  readonly admin: string
  /** Runs the command as somebody; a folder besides the known ones is a copied home. */
  run(who: string, ...args: string[]): Outcome
  /** As `run`, and fails unless the command succeeds. Gives its standard output. */
  ok(who: string, ...args: string[]): string
  /** Fails unless the command ends with `status`; gives all it printed. */
  fails(who: string, status: number, ...args: string[]): string
  start(who: string, ...args: string[]): Running
  /** The stages from a run to a release: request and approval. Gives the release's file. */
  release(run: string, name: string, ask?: readonly string[], approve?: readonly string[]): string
  gpg(who: string, args: readonly string[], input?: Uint8Array): Buffer
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Outcome>
}

/** Makes the keyrings, an archive with two holders and an operator, and whoever believes in it. */
export function makePeople(): People {
  const place = fs.mkdtempSync(join(tmpdir(), "bc-"))
  const people = new Folder(place)
  try {
    people.found()
  } catch (error) {
    people[Symbol.dispose]()
    throw error
  }
  return people
}

class Folder implements People {
  readonly place: string
  readonly archive: string
  admin = ""

  constructor(place: string) {
    this.place = place
    this.archive = join(place, "archive")
  }

  found(): void {
    this.admin = this.#person("admin")
    for (const name of roles.slice(1)) this.#person(name)
    const file = (name: Role): string => join(this.place, `${name}.asc`)
    const holders = ["--holder", file("anna"), "--holder", file("berta")]
    this.ok("admin", "init", this.archive, "--admin", this.admin, ...holders, "--operator", file("otto"))
    this.ok("otto", "trust", this.archive, this.admin, "--yes")
    for (const holder of ["anna", "berta"]) this.ok(holder, "trust", file("admin"), this.admin, "--yes")
  }

  #person(name: Role): string {
    const home = join(this.place, name)
    fs.mkdirSync(home, { mode: 0o700 })
    const quiet = ["--pinentry-mode", "loopback", "--passphrase", ""]
    this.gpg(name, [...quiet, "--quick-gen-key", `${name} <${name}@example.org>`, "ed25519", "sign", "never"])
    const listed = this.gpg(name, ["--with-colons", "--list-keys"]).toString()
    const fingerprint = /^fpr:+([0-9A-F]{40})/m.exec(listed)?.[1] ?? ""
    this.gpg(name, [...quiet, "--quick-add-key", fingerprint, "cv25519", "encr", "never"])
    const exported = this.gpg(name, ["--armor", "--export-options", "export-minimal", "--export", fingerprint])
    fs.writeFileSync(join(this.place, `${name}.asc`), exported)
    return fingerprint
  }

  gpg(who: string, args: readonly string[], input: Uint8Array = new Uint8Array(0)): Buffer {
    const home = ["--homedir", join(this.place, who), "--batch", "--quiet"]
    return execFileSync("gpg", [...home, ...args], { input, stdio: ["pipe", "pipe", "pipe"] })
  }

  #env(who: string): NodeJS.ProcessEnv {
    return {
      ...process.env,
      NODE_OPTIONS: "--conditions=source --disable-warning=ExperimentalWarning",
      GNUPGHOME: join(this.place, who),
      BACKUP_CLOUD_HOME: join(this.place, who, "backup-cloud"),
      BACKUP_CLOUD_CONFIG: join(this.place, who, "backup-cloud.yaml"),
    }
  }

  run(who: string, ...args: string[]): Outcome {
    const options = { cwd: this.place, env: this.#env(who), encoding: "utf8" } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], options)
    return { status, out: stdout, err: stderr }
  }

  ok(who: string, ...args: string[]): string {
    const { status, out, err } = this.run(who, ...args)
    assert.equal(status, 0, `${args.join(" ")}\n${out}${err}`)
    return out
  }

  fails(who: string, status: number, ...args: string[]): string {
    const done = this.run(who, ...args)
    assert.equal(done.status, status, `${args.join(" ")}\n${done.out}${done.err}`)
    return done.out + done.err
  }

  start(who: string, ...args: string[]): Running {
    const child = spawn(process.execPath, [command, ...args], { cwd: this.place, env: this.#env(who) })
    let out = ""
    let err = ""
    child.stdout.on("data", (piece: Buffer) => (out += piece.toString()))
    child.stderr.on("data", (piece: Buffer) => (err += piece.toString()))
    const ended = new Promise<Outcome>((resolve, reject) => {
      child.once("error", reject)
      child.once("close", (status) => {
        resolve({ status, out, err })
      })
    })
    return { child, ended }
  }

  release(run: string, name: string, ask: readonly string[] = [], approve: readonly string[] = []): string {
    const request = join(this.place, `${name}.request`)
    const release = join(this.place, `${name}.release`)
    this.ok("otto", "request", run, ...ask, "--reason", "a test", "--out", request)
    this.ok("anna", "keyholder", "approve", request, ...approve, "--out", release, "--yes")
    return release
  }

  [Symbol.dispose](): void {
    for (const name of roles) {
      const home = join(this.place, name)
      if (fs.existsSync(home)) spawnSync("gpgconf", ["--homedir", home, "--kill", "all"])
    }
    fs.rmSync(this.place, { recursive: true, force: true })
  }
}
