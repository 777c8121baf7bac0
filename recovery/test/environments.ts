// Places to run recover.sh in: each is a shell, and a PATH that holds the programs which the archive's readers are told
// to need, and no others. Debian 13 is a root of its own, without Node.js, entered by chroot.

import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** All that recover.sh may call. `mknod` comes in with --devices; gpgconf and gpg-agent come with gpg. */
const GPG = ["gpg", "gpgconf", "zstd"]
const TOOLS = ["tar", "awk", "sha256sum", "sed", "cut", "tr", "cat", "mkdir", "mkfifo", "ln", "mv", "cp", "rm", "touch"]
const MORE_TOOLS = ["chmod", "chown", "find", "sort", "dd", "mknod"]
const DEBIAN_13 = "/var/tmp/backup-cloud-trixie"

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

interface Call {
  /** The archive's directory, with recover.sh in it. */
  readonly archive: string
  readonly arguments: readonly string[]
  /** Standard input; none if absent. */
  readonly input?: string | Buffer
  /** GNUPGHOME of the person; an empty one if absent. */
  readonly keyring?: string
}

export interface Environment {
  readonly label: string
  /** Below this directory the environment sees the tests' files. */
  readonly base: string
  /** Whether its `touch` sets times to the nanosecond. */
  readonly nanoseconds: boolean
  recover(call: Call): Promise<Outcome>
}

function program(name: string, install: string): string {
  const found = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    .map((d) => join(d, name))
    .find(existsSync)
  if (found === undefined) throw new Error(`the tests need ${name}: apt-get install ${install}`)
  return found
}

/** Runs a program to its end. */
export async function finished(
  command: readonly string[],
  env: Record<string, string>,
  input?: string | Buffer,
): Promise<Outcome> {
  const [file = "", ...rest] = command
  const child = spawn(file, rest, { env, stdio: ["pipe", "pipe", "pipe"] })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on("data", (data: Buffer) => out.push(data))
  child.stderr.on("data", (data: Buffer) => err.push(data))
  child.stdin.on("error", () => undefined) // a program that does not read its input may close it
  child.stdin.end(input ?? "")
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  child.on("error", reject)
  child.on("close", (code) => {
    resolve(code ?? -1)
  })
  const code = await promise
  return { code, out: Buffer.concat(out).toString("latin1"), err: Buffer.concat(err).toString("latin1") }
}

/** A directory of links to `programs`, name by name, for PATH. */
export function pathOf(directory: string, programs: Readonly<Record<string, string>>): string {
  mkdirSync(directory, { recursive: true })
  for (const [name, file] of Object.entries(programs)) symlinkSync(file, join(directory, name))
  return directory
}

/** The machine's own programs, with this `awk`. */
export function hostPrograms(awk: string): Record<string, string> {
  const programs: Record<string, string> = {}
  for (const name of [...GPG, ...TOOLS, ...MORE_TOOLS])
    programs[name] = program(name === "awk" ? awk : name, name === "awk" ? awk : name)
  return programs
}

function onHost(
  label: string,
  shell: readonly string[],
  base: string,
  programs: Readonly<Record<string, string>>,
  nanoseconds: boolean,
): Environment {
  const path = pathOf(mkdtempSync(join(base, "path-")), programs)
  const nobody = mkdtempSync(join(base, "home-"))
  return {
    label,
    base,
    nanoseconds,
    async recover(call) {
      const env = { PATH: path, GNUPGHOME: call.keyring ?? nobody, HOME: nobody }
      return await finished([...shell, join(call.archive, "recover.sh"), ...call.arguments], env, call.input)
    },
  }
}

function busybox(): Record<string, string> {
  const file = program("busybox", "busybox")
  const programs = hostPrograms("mawk")
  for (const name of [...TOOLS, ...MORE_TOOLS]) programs[name] = file
  return programs
}

/** The root of a Debian 13, made once and kept. It appears under its name only when it is whole. */
function debian13(): string {
  if (existsSync(DEBIAN_13)) return DEBIAN_13
  if (process.getuid?.() !== 0) throw new Error(`making ${DEBIAN_13} needs root: run the tests as root, once`)
  if (!existsSync("/usr/sbin/debootstrap")) {
    console.log("installing debootstrap: apt-get install -y debootstrap")
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "debootstrap"], { stdio: "ignore" })
  }
  console.log(`making a Debian 13 root in ${DEBIAN_13}; this takes half a minute, once`)
  const making = mkdtempSync(`${DEBIAN_13}.`)
  try {
    execFileSync("debootstrap", ["--variant=minbase", "--include=gnupg,zstd,gawk", "trixie", making], {
      stdio: "ignore",
    })
    renameSync(making, DEBIAN_13)
  } catch (cause) {
    rmSync(making, { recursive: true, force: true })
    // Another process may have made it meanwhile.
    if (!existsSync(DEBIAN_13))
      throw new Error(`debootstrap --variant=minbase --include=gnupg,zstd,gawk trixie ${DEBIAN_13} fails`, { cause })
  }
  return DEBIAN_13
}

function inDebian13(label: string, awk: string): Environment {
  if (process.getuid?.() !== 0) throw new Error("chroot needs root: run the tests as root")
  const root = debian13()
  if (existsSync(join(root, "usr/bin/node"))) throw new Error(`${root} must not have Node.js: remove it`)
  const base = mkdtempSync(join(root, "tmp/recovery-"))
  const inside = (path: string): string => path.replace(root, "")
  const programs: Record<string, string> = {}
  for (const name of [...GPG, ...TOOLS, ...MORE_TOOLS]) programs[name] = `/usr/bin/${name === "awk" ? awk : name}`
  const path = pathOf(join(base, "path"), programs)
  const nobody = mkdtempSync(join(base, "home-"))
  return {
    label,
    base,
    nanoseconds: true,
    async recover(call) {
      const env = { PATH: inside(path), GNUPGHOME: inside(call.keyring ?? nobody), HOME: inside(nobody) }
      const command = [
        "/usr/sbin/chroot",
        root,
        "/bin/sh",
        join(inside(call.archive), "recover.sh"),
        ...call.arguments.map(inside),
      ]
      return await finished(command, env, call.input)
    },
  }
}

/** Every environment. Its base directories are removed by `close`. */
export function environments(): { list: Environment[]; close: () => void } {
  const base = mkdtempSync(join(tmpdir(), "recovery-"))
  const dash = [program("dash", "dash")]
  const list = [
    onHost("dash and mawk", dash, base, hostPrograms("mawk"), true),
    onHost("dash and gawk", dash, base, hostPrograms("gawk"), true),
    onHost("bash --posix and gawk", [program("bash", "bash"), "--posix"], base, hostPrograms("gawk"), true),
    onHost("busybox sh and its tools", [program("busybox", "busybox"), "sh"], base, busybox(), false),
    inDebian13("Debian 13, mawk", "mawk"),
    inDebian13("Debian 13, gawk", "gawk"),
  ]
  const close = (): void => {
    for (const each of new Set(list.map((environment) => environment.base)))
      rmSync(each, { recursive: true, force: true })
  }
  return { list, close }
}

/** The version of gpg in Debian 13, so that a test can say that it is another one than the machine's. */
export function gpgVersions(): { host: string; debian13: string } {
  const first = (out: Buffer): string => out.toString().split("\n")[0] ?? ""
  return {
    host: first(execFileSync("gpg", ["--version"])),
    debian13: first(execFileSync("/usr/sbin/chroot", [debian13(), "/usr/bin/gpg", "--version"])),
  }
}

export const recoverScript = readFileSync(join(import.meta.dirname, "../recover.sh"))
