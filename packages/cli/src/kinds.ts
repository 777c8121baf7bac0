// Kinds of sources: what a URL names, and the package that reads it. A package is loaded when it is needed, so that a machine
// installs only those it uses.

import { isAbsolute } from "node:path"
import { fileURLToPath } from "node:url"
import { BackupError, escapeControl, type Source } from "@backup-cloud/format"
import type { SourceConfig } from "./config.ts"
import type { Session } from "./session.ts"

export type Place = { readonly kind: "dir"; readonly path: string } | { readonly kind: "command" }

/** What a source's URL names. Throws `usage` for a kind that this version does not know. */
export function placeOf(url: string): Place {
  if (url === "command:") return { kind: "command" }
  let path = ""
  try {
    if (url.startsWith("dir:///")) path = fileURLToPath(`file://${url.slice("dir://".length)}`)
  } catch (cause) {
    throw new BackupError("usage", `${escapeControl(url)} is not a place of files`, { cause })
  }
  if (isAbsolute(path)) return { kind: "dir", path }
  throw new BackupError("usage", `${escapeControl(url)} is not a source this version knows`, {
    hint: "write dir:///absolute/path, or command: with --stream NAME=COMMAND",
  })
}

/** The source as the configuration of this machine has it. Throws `usage` for options of another kind. */
export async function openSource(session: Session, name: string, config: SourceConfig): Promise<Source> {
  const place = placeOf(config.url)
  const { streams = {}, include, exclude } = config
  if (place.kind === "command") {
    const { commandSource } = await import("@backup-cloud/source-command")
    return commandSource({
      streams: Object.entries(streams).map(([stream, command]) => ({ name: stream, command: shellCommand(command) })),
      now: session.io.now,
      kill: session.io.kill,
      onLine: (stream, line) => {
        session.note(`${name}: ${escapeControl(stream)}: ${line}`)
      },
    })
  }
  const { dirSource } = await import("@backup-cloud/source-dir")
  return dirSource({
    root: place.path,
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    oneFileSystem: config.one_file_system ?? false,
    xattrs: config.xattrs ?? false,
    acls: config.acls ?? false,
  })
}

/** A list is a program with its arguments; text is for the shell. @param args what the shell has as $1, $2 … */
export function shellCommand(command: string | readonly string[], ...args: readonly string[]): readonly string[] {
  return typeof command === "string" ? ["/bin/sh", "-c", command, "sh", ...args] : command
}
