// Looks for a secret where it must not be: in arguments and environments of all processes, again and again while a work
// runs, and in files.

import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** What of the machine's processes holds the secret at this moment, a line each. */
export function inProcesses(secrets: readonly string[]): string[] {
  const found: string[] = []
  for (const pid of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(pid)) continue
    for (const where of ["cmdline", "environ"]) {
      try {
        const text = readFileSync(`/proc/${pid}/${where}`, "latin1")
        if (secrets.some((secret) => text.includes(secret))) found.push(`${where}: ${text.replaceAll("\0", " ")}`)
      } catch {
        // It ended meanwhile.
      }
    }
  }
  return found
}

/** Does the work and looks all the while. @returns what was found, and in how many looks */
export async function watched(
  secrets: readonly string[],
  work: Promise<unknown>,
): Promise<{ found: string[]; looks: number }> {
  const found: string[] = []
  let looks = 0
  const timer = setInterval(() => {
    found.push(...inProcesses(secrets))
    looks++
  }, 15)
  try {
    await work
  } finally {
    clearInterval(timer)
  }
  return { found, looks }
}

/** Files below `top` that hold one of the secrets. */
export function inFiles(secrets: readonly string[], top: string): string[] {
  const paths = readdirSync(top, { recursive: true, encoding: "utf8" }).map((path) => join(top, path))
  return paths.filter((path) => {
    if (!statSync(path).isFile()) return false
    const bytes = readFileSync(path)
    return secrets.some((secret) => bytes.includes(secret))
  })
}

/** Folders of git in memory that hold this secret: those of others are not looked at. */
export function privateFolders(secret: string): string[] {
  const paths = readdirSync("/dev/shm").map((name) => join("/dev/shm", name))
  return paths.filter((path) => {
    try {
      return readFileSync(join(path, "credential"), "utf8").includes(secret)
    } catch {
      return false
    }
  })
}
