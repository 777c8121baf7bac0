// context, run, seal, upload: for people who write their own backup scripts, compatible with the system that this one
// continues. The context is text for a shell's eval: names of programs and of places, nothing secret, and no file that would
// have to be removed when the shell ends.

import { spawn } from "node:child_process"
import { realpathSync } from "node:fs"
import { constants } from "node:os"
import { dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { BackupError, escapeControl, patterns } from "@backup-cloud/format"
import { notedFiles, sealFile } from "backup-cloud/parts/handed"
import type { Command } from "commander"
import type { Register } from "../program.ts"
import { Session } from "../session.ts"
import { backupNamed } from "./backup.ts"

export function addContextCommands(root: Command, register: Register): void {
  register(root, "context [ssm-path]", "what a script needs, for eval $(…)", async (session, [path]) => {
    const { io } = session
    try {
      await using chosen = await archiveAt(session, path)
      const words = Object.entries(await contextOf(chosen)).map(([name, value]) => `${name}=${quoted(name, value)}`)
      io.out(`export ${words.join(" ")}`)
    } catch (error) {
      // The shell evaluates what is here, whatever this exits with: it must not seem to have gone well.
      io.out("false")
      throw error
    }
  })
  register(root, "run [command...]", "run a script with such a context", async (session, command) => {
    await runScript(session, command)
  })
  register(
    root,
    "seal <files...>",
    "seal files to all key holders, each beside itself as FILE.gpg",
    async (session, files) => {
      const trust = await session.trust({ strict: true })
      for (const file of files) {
        const sealed = await sealFile(session, trust, resolve(session.io.cwd, file))
        session.note(`${escapeControl(file)}.gpg is sealed; the next run's receipt records it`)
        session.event({ event: "sealed", file: sealed.file, sha256: sealed.sha256 })
      }
    },
  )
  register(
    root,
    "upload <words...>",
    "back up a directory as the source of that name: [SSM_PATH] DIR NAME",
    async (session, words) => {
      const [name = "", dir = "", path, ...more] = words.toReversed()
      if (words.length < 2 || more.length > 0)
        throw new BackupError("usage", "give DIR NAME, or SSM_PATH DIR NAME; nothing was backed up")
      await using chosen = await archiveAt(session, path)
      await upload(chosen, resolve(session.io.cwd, dir), name)
    },
  )
}

/** The session, for the archive that parameters below `path` name, if one is given. */
async function archiveAt(session: Session, path: string | undefined): Promise<Session> {
  const { io, globals } = session
  const url = path === undefined ? undefined : `ssm:/${path.replace(/^(?:ssm:)?\/*/, "")}`
  return await Session.open(io, { ...globals, ...(url === undefined ? {} : { archive: url }) })
}

async function upload(session: Session, dir: string, path: string): Promise<void> {
  const name = path.replace(/^\/+|\/+$/g, "").replaceAll("/", "-")
  if (!patterns.name.test(name)) {
    throw new BackupError("usage", `${escapeControl(path)} names no source; nothing was backed up`, {
      hint: "a name has lower-case letters, digits and hyphens",
    })
  }
  await backupNamed(session, name, {
    ...session.config.sources[name],
    url: pathToFileURL(dir).href.replace("file:", "dir:"),
  })
}

async function contextOf(session: Session): Promise<Readonly<Record<string, string>>> {
  const { config, io } = session
  const programs = dirname(realpathSync(io.program[1] ?? ""))
  const store = await session.store()
  // Before the script does work that would come to nothing.
  await session.trust({ strict: true })
  return {
    BACKUP_CONTEXT_ENCRYPT_COMMAND: join(programs, "backup-cloud-encrypt.js"),
    BACKUP_CONTEXT_UPLOAD_COMMAND: join(programs, "backup-cloud-upload.js"),
    BACKUP_CONTEXT_S3_TARGET: `${(store.url.split("?")[0] ?? "").replace(/\/+$/, "")}/backup`,
    BACKUP_CLOUD_ARCHIVE: session.archiveUrl,
    BACKUP_CLOUD_HOME: config.home,
    BACKUP_CLOUD_CONFIG: config.file,
  }
}

/** One word for any shell, also where the whole is not quoted and so taken apart at white space. */
function quoted(name: string, value: string): string {
  if (/^[A-Za-z0-9_/.,:=@%+-]+$/.test(value)) return value
  if (!/[\s\p{Cc}]/u.test(value)) return `'${value.replaceAll("'", "'\\''")}'`
  throw new BackupError(
    "usage",
    `${name} would be ${escapeControl(value)}, which a shell takes apart; nothing was set`,
    {
      hint: "move it to a path without white space",
    },
  )
}

async function runScript(session: Session, [program, ...args]: readonly string[]): Promise<void> {
  const { io } = session
  if (program === undefined) throw new BackupError("usage", "give the script: backup-cloud run -- SCRIPT ARGUMENTS")
  const env = { ...io.env, ...(await contextOf(session)) }
  const child = spawn(program, args, { env, cwd: io.cwd, stdio: "inherit" })
  // A terminal tells both; whoever signals this process alone means the script.
  io.stop.addEventListener("abort", () => child.kill("SIGTERM"), { once: true })
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new BackupError("not-found", `${escapeControl(program)} cannot be started`, { cause }))
    })
    child.once("exit", (status, signal) => {
      resolve(status ?? 128 + constants.signals[signal ?? "SIGTERM"])
    })
  })
  const left = await notedFiles(session)
  if (left.length > 0) {
    session.warn(
      `${left.length} sealed files are in no receipt yet, and cannot be released before: the next run of any source here records them`,
    )
  }
  session.event({ event: "result", code })
  io.exitWith(code)
}
