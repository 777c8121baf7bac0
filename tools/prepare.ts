// The programs that the tests drive, and a Debian 13 root beside the machine's own system, for what must work with
// GnuPG 2.4 and where there is no Node.js. As root what is missing is installed, and the command is printed first; otherwise
// the command that would install it is the error. Nothing is skipped because a program is not there.

import { spawnSync } from "node:child_process"
import { accessSync, constants, existsSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Program to what brings it: a Debian package, or a command of its own. */
export const needed: Readonly<Record<string, { readonly apt: string } | { readonly command: string }>> = {
  gpg: { apt: "gnupg" },
  gpgv: { apt: "gpgv" },
  zstd: { apt: "zstd" },
  tar: { apt: "tar" },
  getfattr: { apt: "attr" },
  setfattr: { apt: "attr" },
  getfacl: { apt: "acl" },
  setfacl: { apt: "acl" },
  busybox: { apt: "busybox" },
  dash: { apt: "dash" },
  gawk: { apt: "gawk" },
  mawk: { apt: "mawk" },
  zsh: { apt: "zsh" },
  openssl: { apt: "openssl" },
  git: { apt: "git" },
  "git-lfs": { apt: "git-lfs" },
  rsync: { apt: "rsync" },

  pg_createcluster: { apt: "postgresql" },
  "systemd-analyze": { apt: "systemd" },
  debootstrap: { apt: "debootstrap" },
  mariadbd: { apt: "mariadb-server" },
  "cfn-lint": { command: "python3 -m pip install 'cfn-lint==1.51.0'" },
  aws: { command: "python3 -m pip install 'awscli==1.45.11'" },
  moto_server: { command: "python3 -m pip install 'moto[server]==5.2.1'" },
}

/** Where the tests of `openpgp` and `recovery` look for it. */
const DEBIAN_13 = "/var/tmp/backup-cloud-trixie"
const makeDebian13 = (folder: string): string =>
  `debootstrap --variant=minbase --include=gnupg,zstd,gawk trixie ${folder}`

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** Those of `programs` that are in none of the folders of `path`. */
export function missing(programs: readonly string[], path: string): string[] {
  const folders = [...path.split(delimiter).filter((each) => each !== ""), "/usr/sbin", "/sbin"]
  return programs.filter((program) => !folders.some((folder) => isProgram(join(folder, program))))
}

/** The shell commands that install `programs`. */
export function installCommands(programs: readonly string[]): string[] {
  const ways = programs.map((program) => needed[program]).filter((way) => way !== undefined)
  const packages = [...new Set(ways.flatMap((way) => ("apt" in way ? [way.apt] : [])))].sort()
  const apt =
    packages.length === 0 ? [] : ["apt-get update", `apt-get install -y --no-install-recommends ${packages.join(" ")}`]
  return [...apt, ...new Set(ways.flatMap((way) => ("command" in way ? [way.command] : [])))]
}

/** Installs what is missing if `root`. Returns what is missing still, with the commands that would bring it. */
export function prepare(path: string, root: boolean, out: (line: string) => void): string[] {
  const shell = (command: string): boolean => {
    out(`installing: ${command}`)
    const env = { ...process.env, PATH: `${path}:/usr/sbin:/sbin`, DEBIAN_FRONTEND: "noninteractive" }
    return spawnSync("sh", ["-c", command], { stdio: ["ignore", "ignore", "inherit"], env }).status === 0
  }
  if (root) for (const command of installCommands(missing(Object.keys(needed), path))) shell(command)
  if (root && !existsSync(DEBIAN_13)) {
    // Made under another name, so that what was interrupted is not taken for whole.
    const making = mkdtempSync(`${DEBIAN_13}.`)
    if (shell(makeDebian13(making))) renameSync(making, DEBIAN_13)
    else rmSync(making, { recursive: true, force: true })
  }
  const left = missing(Object.keys(needed), path)
  const problems =
    left.length === 0 ? [] : [`missing: ${left.join(", ")}; to install: ${installCommands(left).join(" && ")}`]
  if (!existsSync(DEBIAN_13))
    problems.push(`missing: a Debian 13 root; to make it, as root: ${makeDebian13(DEBIAN_13)}`)
  return problems
}

if (import.meta.main) {
  const problems = prepare(process.env["PATH"] ?? "", process.getuid?.() === 0, (line) => {
    console.log(line)
  })
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
