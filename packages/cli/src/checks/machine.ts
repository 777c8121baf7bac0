// Checks of the machine itself: programs, private files, what an interrupted command may have left. None needs an archive.

import { execFile } from "node:child_process"
import { lstat, readdir } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Session } from "../session.ts"
import { shellWord } from "../words.ts"
import type { Check, Trouble } from "./check.ts"
import { kindChecks } from "./kinds.ts"
import { programCheck } from "./programs.ts"

/** A week: longer than the first backup of very much. */
const LEFT = 7 * 86_400_000
const LEAST_NODE = 24
const run = promisify(execFile)

export function machineChecks(session: Session): Check[] {
  const { io, config } = session
  const sources = Object.values(config.sources)
  const wanted = (asked: boolean, name: string, apt: string, why: string): Check[] =>
    asked ? [programCheck(io.env, [name], apt, why)] : []
  return [
    {
      name: "gpg is of version 2.2 or later",
      run: async () => gpgTrouble(await run("gpg", ["--version"], { env: io.env }).catch(() => null)),
    },
    ...["zstd", "tar", "awk"].map((name) =>
      programCheck(io.env, [name], name === "awk" ? "mawk" : name, "recovery with stock tools"),
    ),
    ...wanted(
      sources.some((source) => source.xattrs === true),
      "getfattr",
      "attr",
      "a source keeps extended attributes",
    ),
    ...wanted(
      sources.some((source) => source.acls === true),
      "getfacl",
      "acl",
      "a source keeps access control lists",
    ),
    ...kindChecks(session),
    { name: `Node.js is of version ${LEAST_NODE} or later`, run: async () => nodeTrouble(io.node) },
    { name: `${config.home} is for its owner alone`, run: async () => await privacyTrouble(config.home) },
    {
      name: "no interrupted command has left keyrings behind",
      run: async () => await leftoverTrouble(tmpdir(), io.uid, io.now()),
    },
  ]
}

function gpgTrouble(told: { readonly stdout: string } | null): Trouble | null {
  const mend = "apt-get install gnupg"
  if (told === null) return { problem: "gpg cannot be started", mend }
  const [, major = "0", minor = "0"] = /^gpg \(GnuPG[^)]*\) ([0-9]+)\.([0-9]+)/.exec(told.stdout) ?? []
  if (Number(major) * 100 + Number(minor) >= 202) return null
  return { problem: `this is ${told.stdout.split("\n")[0] ?? "something else"}`, mend }
}

/** @param version as `process.versions.node` */
export function nodeTrouble(version: string): Trouble | null {
  if (Number.parseInt(version, 10) >= LEAST_NODE) return null
  return { problem: `this is ${version}`, mend: `install Node.js ${LEAST_NODE}, or run npm ci in the project` }
}

/** Of the folder and all that is in it, whether others than the owner may do anything. */
async function privacyTrouble(home: string): Promise<Trouble | null> {
  const below = await readdir(home, { recursive: true }).catch(() => [])
  const open: string[] = []
  for (const name of ["", ...below.sort()]) {
    const path = join(home, name)
    const found = await lstat(path).catch(() => null)
    if (found !== null && !found.isSymbolicLink() && (found.mode & 0o077) !== 0) open.push(path)
  }
  const [first] = open
  if (first === undefined) return null
  const more = open.length > 1 ? `, and ${open.length - 1} more` : ""
  return { problem: `others may read ${first}${more}`, mend: `chmod -R go-rwx ${shellWord(home)}` }
}

/** Temporary GnuPG homes of this user that are older than any command takes. */
async function leftoverTrouble(folder: string, uid: number, now: Date): Promise<Trouble | null> {
  const left: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory() || !/^bc-[A-Za-z0-9]{6}$/.test(entry.name)) continue
    const path = join(folder, entry.name)
    const found = await lstat(path).catch(() => null)
    if (found?.uid === uid && now.getTime() - found.mtimeMs > LEFT) left.push(path)
  }
  if (left.length === 0) return null
  return { problem: `${left.length} are in ${folder}`, mend: `rm -r ${left.map(shellWord).join(" ")}` }
}
