// A small world for tests: people with keyrings of their own, machines with homes of their own, one archive between them.
// Commands run as processes of the real program, from its sources.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const program = join(import.meta.dirname, "../bin/backup-cloud.js")

/** Environment of a program that runs from its sources. What Node.js makes of them is kept: it takes longer than most commands. */
export const fromSources = {
  NODE_OPTIONS: "--conditions=source",
  NODE_COMPILE_CACHE: join(tmpdir(), "backup-cloud-compiled"),
}

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

export class World {
  readonly place = mkdtempSync(join(tmpdir(), "bcw-"))
  readonly archive = join(this.place, "archive")
  readonly fingerprints = new Map<string, string>()

  /** A person: a keyring with one key, and a certificate in a file beside it. @param expires as gpg takes it, `30d` */
  person(name: string, expires = "never"): string {
    const home = join(this.place, name)
    mkdirSync(home, { mode: 0o700 })
    const gpg = (...args: string[]): string =>
      execFileSync("gpg", ["--homedir", home, "--batch", "--quiet", ...args], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      })
    const open = ["--pinentry-mode", "loopback", "--passphrase", ""]
    gpg(...open, "--quick-gen-key", `${name} <${name}@test.example>`, "ed25519", "sign", expires)
    const fingerprint = /^fpr:+([0-9A-F]{40})/m.exec(gpg("--with-colons", "--list-keys"))?.[1] ?? ""
    gpg(...open, "--quick-add-key", fingerprint, "cv25519", "encr", expires)
    writeFileSync(
      this.file(`${name}.asc`),
      gpg("--armor", "--export-options", "export-minimal", "--export", fingerprint),
    )
    this.fingerprints.set(name, fingerprint)
    return fingerprint
  }

  file(name: string): string {
    return join(this.place, name)
  }

  #options(who: string): { cwd: string; env: NodeJS.ProcessEnv } {
    const home = this.file(who)
    const env = {
      ...process.env,
      GNUPGHOME: home,
      BACKUP_CLOUD_HOME: join(home, "backup-cloud"),
      BACKUP_CLOUD_CONFIG: join(home, "backup-cloud.yaml"),
      ...fromSources,
    }
    return { cwd: this.place, env }
  }

  /** Runs the command as somebody. */
  as(who: string, ...args: string[]): Ended {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      ...this.#options(who),
      encoding: "utf8",
    })
    return { status, stdout, stderr }
  }

  /** As `as`, with something on its standard input. */
  fed(who: string, input: string, ...args: string[]): Ended {
    const options = { ...this.#options(who), encoding: "utf8", input } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], options)
    return { status, stdout, stderr }
  }

  /** Starts the command as somebody, in a process group of its own, so that a test can end all of it at once. */
  spawn(who: string, ...args: string[]): Started {
    const child = spawn(process.execPath, [program, ...args], { ...this.#options(who), detached: true })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (piece: Buffer) => (stdout += piece.toString()))
    child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()))
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once("error", reject)
      child.once("close", (status) => {
        resolve({ status, stdout, stderr })
      })
    })
    return { child, ended }
  }

  /** Fails unless the command ends with `status`. Gives all that it said. */
  fails(who: string, status: number, ...args: string[]): string {
    const ended = this.as(who, ...args)
    if (ended.status === status) return ended.stdout + ended.stderr
    const how = ended.status ?? "a signal"
    throw new Error(
      `${who}: backup-cloud ${args.join(" ")} ended with ${how}, not ${status}\n${ended.stdout}${ended.stderr}`,
    )
  }

  /** Keeps the archive as it is now; the function that it gives puts it back, arrival times included. */
  keep(): () => void {
    const kept = mkdtempSync(join(this.place, "kept-"))
    const copy = { recursive: true, preserveTimestamps: true }
    cpSync(this.archive, kept, copy)
    return () => {
      rmSync(this.archive, { recursive: true })
      cpSync(kept, this.archive, copy)
    }
  }

  /** As `as`, and fails unless the command succeeds. */
  ok(who: string, ...args: string[]): string {
    const { status, stdout, stderr } = this.as(who, ...args)
    if (status !== 0)
      throw new Error(`${who}: backup-cloud ${args.join(" ")} ended with ${status ?? "a signal"}\n${stdout}${stderr}`)
    return stdout
  }

  /** Administrator, two holders, an operator, and the source `docs` of the directory `data`. */
  start(data: string): void {
    for (const name of ["admin", "alice", "bob", "oscar"]) this.person(name)
    const admin = this.fingerprints.get("admin") ?? ""
    const holders = ["--holder", this.file("alice.asc"), "--holder", this.file("bob.asc")]
    this.ok("admin", "init", this.archive, "--admin", admin, ...holders, "--operator", this.file("oscar.asc"))
    this.ok("admin", "source", "add", "docs", `dir://${data}`)
    this.ok("oscar", "trust", this.archive, admin, "--yes")
    this.ok("alice", "trust", this.file("admin.asc"), admin, "--yes")
  }

  /** A machine of its own, which has the keys of the source `name` and nothing else. */
  machine(who: string, name: string, data: string): void {
    mkdirSync(this.file(who), { mode: 0o700 })
    const certificate = this.file(`${name}.source.asc`)
    this.ok(who, "trust", this.archive, this.fingerprints.get("admin") ?? "", "--yes")
    this.ok(who, "source", "keygen", name, "--out", certificate)
    this.ok("admin", "source", "add", name, `dir://${data}`, "--certificate", certificate)
    appendFileSync(join(this.file(who), "backup-cloud.yaml"), `sources: { ${name}: { url: "dir://${data}" } }\n`)
  }

  /** Asks for a release of a run and gets it from alice; its file. */
  release(run: string, name: string, ...options: string[]): string {
    this.ok("oscar", "request", run, "--reason", "a test", "--out", this.file(`${name}.request`), ...options)
    this.ok("alice", "keyholder", "approve", this.file(`${name}.request`), "--out", this.file(name), "--yes")
    return this.file(name)
  }

  /** Run ids of a source, the oldest first. */
  runs(source = "docs"): string[] {
    return [...this.ok("admin", "runs", source).matchAll(/^\S+@(\S+) /gm)].map((match) => match[1] ?? "")
  }

  /** All objects of the archive below `prefix`. */
  objects(prefix = ""): string[] {
    return readdirSync(this.archive, { recursive: true, encoding: "utf8" })
      .filter(
        (name) => name.startsWith(prefix) && !name.includes(".incoming") && statSync(join(this.archive, name)).isFile(),
      )
      .sort()
  }

  end(): void {
    for (const name of this.fingerprints.keys()) spawnSync("gpgconf", ["--homedir", this.file(name), "--kill", "all"])
    rmSync(this.place, { recursive: true, force: true })
  }
}
