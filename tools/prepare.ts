// The programs that the tests drive. As root what is missing is installed, and the command is printed first; otherwise
// the command that would install it is the error. Nothing is skipped because a program is not there.

import { spawnSync } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
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
  rsync: { apt: "rsync" },
  debootstrap: { apt: "debootstrap" },
  moto_server: { command: "python3 -m pip install 'moto[server]==5.2.1'" },
}

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
  const wanted = missing(Object.keys(needed), path)
  if (wanted.length > 0 && root) {
    for (const command of installCommands(wanted)) {
      out(`installing: ${command}`)
      spawnSync("sh", ["-c", command], {
        stdio: ["ignore", "ignore", "inherit"],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      })
    }
  }
  const left = missing(Object.keys(needed), path)
  return left.length === 0 ? [] : [`missing: ${left.join(", ")}; to install: ${installCommands(left).join(" && ")}`]
}

if (import.meta.main) {
  const problems = prepare(process.env["PATH"] ?? "", process.getuid?.() === 0, (line) => {
    console.log(line)
  })
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
