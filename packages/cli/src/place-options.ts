// What the command line says of a source beside its URL, as the configuration keeps it: groups of options, each for the kinds
// of sources that it means something to.

import { BackupError, escapeControl } from "@backup-cloud/format"
import type { Command } from "commander"
import type { SourceConfig } from "./config.ts"
import type { Place } from "./kinds.ts"
import { collect, listOf } from "./options.ts"
import { passwordPlace } from "./passwords.ts"
import { addS3Options, s3Config } from "./s3-options.ts"

type Options = Readonly<Record<string, unknown>>

interface Group {
  readonly kinds: readonly Place["kind"][]
  /** For messages. */
  readonly names: string
  /** What the options say; nothing if none is given. */
  readonly read: (options: Options, cwd: string) => Partial<SourceConfig>
}

const groups: readonly Group[] = [
  { kinds: ["command"], names: "--stream", read: streamsOf },
  {
    kinds: ["dir", "upload", "postgres"],
    names: "--include and --exclude",
    read: (options) => {
      const include = listOf(options, "include")
      const exclude = listOf(options, "exclude")
      return { ...(include.length > 0 ? { include } : {}), ...(exclude.length > 0 ? { exclude } : {}) }
    },
  },
  {
    kinds: ["dir", "upload"],
    names: "--one-file-system, --xattrs and --acls",
    read: ({ oneFileSystem, xattrs, acls }) => ({
      ...(oneFileSystem === true ? { one_file_system: true } : {}),
      ...(xattrs === true ? { xattrs: true } : {}),
      ...(acls === true ? { acls: true } : {}),
    }),
  },
  {
    kinds: ["postgres", "mysql", "git", "github"],
    names: "--password-file and --password-command",
    read: passwordPlace,
  },
  {
    kinds: ["postgres"],
    names: "--no-role-passwords",
    read: ({ rolePasswords }) => (rolePasswords === false ? { role_passwords: false } : {}),
  },
  { kinds: ["s3"], names: "--versions, --no-tags and --shard", read: s3Config },
]

export function addPlaceOptions(command: Command): Command {
  return addS3Options(command)
    .option("--stream <name=command>", "of command: what a shell command puts out; repeat", collect)
    .option("--include <glob>", "back up only what matches; repeat", collect)
    .option("--exclude <glob>", "leave out what matches; repeat", collect)
    .option("--one-file-system", "do not enter other file systems")
    .option("--xattrs", "keep extended attributes")
    .option("--acls", "keep access control lists")
    .option("--password-file <file>", "of a database or git server, of GitHub: where the password or token is")
    .option("--password-command <command>", "of a database or git server, of GitHub: what puts it out")
    .option("--no-role-passwords", "of postgres: leave out the password hashes of roles, which not every role may read")
}

/** What the yaml of the machine says of a source. Throws `usage` for options that do not fit its kind. */
export function configOf({ kind }: Place, url: string, options: Options, cwd: string): SourceConfig {
  const config = { url }
  for (const { kinds, names, read } of groups) {
    const found = read(options, cwd)
    if (Object.keys(found).length > 0 && !kinds.includes(kind))
      throw new BackupError("usage", `${names} mean nothing to ${escapeControl(url)}; nothing was made`, {
        hint: `they belong to sources of kind ${kinds.join(", ")}`,
      })
    Object.assign(config, found)
  }
  if (kind === "command" && !("streams" in config))
    throw new BackupError("usage", "a source of commands has streams; nothing was made", {
      hint: "give each as --stream NAME=COMMAND: --stream dump.sql='pg_dump mydb'",
    })
  return config
}

function streamsOf(options: Options): Partial<SourceConfig> {
  const streams = listOf(options, "stream").map((text) => {
    const [, name, command] = /^([^=]+)=(.+)$/s.exec(text) ?? []
    if (name !== undefined && command !== undefined) return [name, command]
    throw new BackupError("usage", `--stream ${escapeControl(text)} names no command; nothing was made`, {
      hint: "write --stream NAME=COMMAND: --stream dump.sql='pg_dump mydb'",
    })
  })
  return streams.length === 0 ? {} : { streams: Object.fromEntries(streams) as Record<string, string> }
}
