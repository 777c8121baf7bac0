// The program that dumps the rows of many tables at the same time, in transactions of one moment. It can only write files; it
// ends with this process, even if that is killed, since nobody would take its files then.
//
// It puts names into SQL and into names of files as they are, so it is given none but plain ones.

import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import type { MysqlAccess } from "./access.ts"
import { type FoundTool, type RunningTool, startTool, versionOf } from "./tool.ts"

/** INSERTs of a file, some 1 MB each, after which another begins. */
export const MOST_INSERTS = 8

/** The version whose options and files this knows. */
const KNOWN = /^mydumper 0\.10\./
/** What makes a program end when its parent does; of util-linux. */
const UNDER = ["setpriv", "--pdeathsig", "KILL"] as const

/** Throws `unavailable` if it is not there, or is a version that nobody has looked at. */
export async function findMydumper(path: string): Promise<FoundTool> {
  const version = await versionOf("mydumper", ["--version"], path)
  const under = await versionOf(UNDER[0], ["--version"], path)
  const missing = [version === null ? "mydumper" : "", under === null ? "util-linux (setpriv)" : ""].filter(Boolean)
  if (version === null || under === null)
    throw new BackupError("unavailable", `${missing.join(", ")} is not installed; nothing was done`, {
      hint: `install the package ${missing[0]}, or leave dump=mydumper out of the URL`,
    })
  if (!KNOWN.test(version))
    throw new BackupError("unavailable", `${version} is none that this version knows; nothing was done`, {
      hint: "install mydumper 0.10, or leave dump=mydumper out of the URL",
    })
  // It is linked to the library of one of the two, which reads the option file.
  const flavour = /built against MySQL 1\d\./.test(version) ? "mariadb" : "mysql"
  return { program: "mydumper", version, flavour, under: UNDER }
}

export interface Chosen {
  readonly schemas: readonly string[]
  /** One table instead of all of the schema. */
  readonly table?: string
  /** Sequences, as `schema.name`: their values come with their definitions. */
  readonly skip: readonly string[]
  readonly threads: number
}

/** Starts it. @param folder empty; gets a folder `out` of the files */
export async function startMydumper(
  tool: FoundTool,
  access: MysqlAccess,
  folder: string,
  { schemas, table, skip, threads }: Chosen,
  signal: AbortSignal,
): Promise<RunningTool> {
  const skipped = join(folder, "skip")
  await writeFile(skipped, skip.map((name) => `${name}\n`).join(""), { mode: 0o600 })
  const escaped = (names: readonly string[]): string => names.map((name) => name.replaceAll("$", "\\$")).join("|")
  const args = [
    `--outputdir=${join(folder, "out")}`,
    `--threads=${threads}`,
    `--chunk-filesize=${MOST_INSERTS}`,
    `--regex=^(?-i:${escaped(schemas)})\\.(?-i:${table === undefined ? ".*" : escaped([table])})$`,
    `--omit-from-file=${skipped}`,
    // Told of one schema alone, its threads do not come to wait for each other, as they sometimes do otherwise.
    ...(schemas.length === 1 ? [`--database=${schemas[0]}`] : []),
    "--no-schemas",
    "--no-views",
    "--complete-insert",
    // All writing is held only until every connection has begun its transaction, not while this program is paused.
    "--trx-consistency-only",
    "--verbose=1",
  ]
  const running = await startTool(tool, access, args, signal)
  running.stdin.end()
  running.stdout.resume()
  return running
}
