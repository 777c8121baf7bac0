// files, cat, diff, restore: what a release opens.

import {
  BackupError,
  type CatalogueEntry,
  encodeEntry,
  erasureFile,
  escapeControl,
  fromByteString,
  pathKey,
  toByteString,
} from "@backup-cloud/format"
import { fileContent, planLines, type RestorePlan, restore } from "@backup-cloud/restore"
import { globs } from "@backup-cloud/source-dir"
import type { OpenRun } from "backup-cloud/parts/releases"
import { planOf, restoreName, shortfall } from "backup-cloud/parts/restore"
import type { Command } from "commander"
import { listErased, noteLeftOut, tellErased } from "../erased.ts"
import { installed } from "../installed.ts"
import { size } from "../io.ts"
import { checkedPlace, isPostgres, openTarget, shellCommand } from "../kinds.ts"
import { collect, listOf } from "../options.ts"
import { passwordPlace } from "../passwords.ts"
import { restoreIntoPostgres } from "../postgres-restore.ts"
import type { Register } from "../program.ts"
import { openRun } from "../releases.ts"
import type { Session } from "../session.ts"
import { restoreObject } from "./object.ts"

const shown = (path: string): string => escapeControl(fromByteString(path))

export function addRestoreCommands(root: Command, register: Register): void {
  const withRelease = (command: Command): Command =>
    command
      .requiredOption("--release <file>", "what a key holder answered; repeat", collect)
      .option("--key <fingerprint>", "your operator's key")
      .option("--without-erasures", "also what was erased and must not come back; the release must say so")
  withRelease(
    register(root, "files <run> [glob]", "what a run holds", async (session, [run = "", glob], options) => {
      await files(session, run, glob, options)
    }),
  )
  withRelease(
    register(root, "cat <run> <path>", "one file's content", async (session, [run = "", path = ""], options) => {
      await cat(session, run, path, options)
    }),
  )
  withRelease(
    register(
      root,
      "diff <run> <other>",
      "what changed between two runs",
      async (session, [run = "", other = ""], options) => {
        await diff(session, run, other, options)
      },
    ),
  )
  withRelease(
    register(root, "restore [run]", "bring data back", async (session, [run], options) => {
      if (typeof options["object"] !== "string") await restoreRun(session, run ?? "", options)
      else if (run === undefined) await restoreObject(session, options["object"], options)
      else
        throw new BackupError("usage", "--object restores one sealed file, and nothing of a run; nothing was restored")
    }),
  )
    .option(
      "--to <place>",
      "where to: a directory, s3://bucket/prefix for objects, ssm:/path for parameters, postgres://… or mysql://… for databases, git:URL for a repository, github:OWNER for an organisation",
    )
    .option("--object <file>", "one sealed file instead of a run, to the file that --to names")
    .option("--pipe <command>", "into a shell command instead, once for each file, whose name is $1")
    .option("--path <glob>", "only these; repeat", collect)
    .option("--into-existing", "into a directory or database that holds other things, which are kept")
    .option("--password-file <file>", "of a database or git server, of GitHub: where the password or token is")
    .option("--password-command <command>", "of a database or git server, of GitHub: what puts it out")
    .option("--verify", "read everything again and compare")
    .option("--list-erased", "name what erasures keep from coming back")
    .option("--dry-run", "only say what would be done")
    .option("--salvage", "bring what is intact of a damaged archive, list the rest")
    .option("--set-id", "set-user-id and set-group-id bits too")
    .option("--devices", "devices too")
    .option("--overwrite", "of objects, parameters and schemas: replace what is there and differs")
    .option("--weaker-encryption", "of objects: let them lie less well encrypted than they did")
}

async function files(
  session: Session,
  name: string,
  glob: string | undefined,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const open = await openRun(session, name, options)
  const wanted = glob === undefined ? null : globs([glob], [])
  for await (const entry of open.entries()) {
    if (wanted !== null && (entry.path === "." || wanted.judge(entry.path, entry.type === "d", false) !== "take"))
      continue
    const link = entry.link === null ? "" : ` -> ${shown(entry.link)}`
    const error = entry.attributes.get("error")
    session.say(
      `${entry.type}${entry.mode.toString(8).padStart(4, "0")} ${String(entry.size).padStart(12)} ${time(entry.mtime)} ${shown(entry.path)}${link}${error === undefined ? "" : `  [${error}]`}`,
    )
    session.event({
      event: "file",
      path: fromByteString(entry.path),
      type: entry.type,
      size: entry.size,
      sha256: entry.sha256,
      mtime: entry.mtime,
      error: error ?? null,
    })
  }
  noteLeftOut(session, open)
}

const time = (mtime: string): string => {
  const date = new Date(Math.floor(Number(mtime)) * 1000)
  return Number.isNaN(date.getTime()) ? mtime : date.toISOString().slice(0, 19)
}

async function diff(
  session: Session,
  name: string,
  other: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const given = listOf(options, "release")
  const [one, two = one] = given
  const a = await openRun(session, name, { ...options, release: [one] })
  const b = await openRun(session, other, { ...options, release: [two] })
  const left = a.entries()[Symbol.asyncIterator]()
  const right = b.entries()[Symbol.asyncIterator]()
  let x = await left.next()
  let y = await right.next()
  let changes = 0
  const say = (sign: string, entry: CatalogueEntry): void => {
    changes++
    session.say(`${sign} ${shown(entry.path)}`)
    session.event({ event: "difference", sign, path: fromByteString(entry.path) })
  }
  while (x.done !== true || y.done !== true) {
    const order = x.done === true ? 1 : y.done === true ? -1 : compare(pathKey(x.value.path), pathKey(y.value.path))
    if (order < 0 && x.done !== true) say("-", x.value)
    else if (order > 0 && y.done !== true) say("+", y.value)
    else if (x.done !== true && y.done !== true && essence(x.value) !== essence(y.value)) say("M", y.value)
    if (order <= 0) x = await left.next()
    if (order >= 0) y = await right.next()
  }
  noteLeftOut(session, a)
  noteLeftOut(session, b)
  session.event({ event: "result", changes })
}

async function cat(
  session: Session,
  name: string,
  path: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const open = await openRun(session, name, options)
  const wanted = toByteString(path.replace(/^\/+/, ""))
  for await (const entry of open.entries()) {
    if (entry.path !== wanted) continue
    for await (const piece of fileContent(open.view, entry, session.io.signal)) await session.io.raw(piece)
    return
  }
  const number = open.view.erasing.numberOf(wanted, false)
  if (number > 0)
    throw new BackupError("refused", `${escapeControl(path)} must not come back: erasure ${number} names it`, {
      hint: "backup-cloud erase list says why",
    })
  throw new BackupError("not-found", `${escapeControl(path)} is not in ${escapeControl(name)}`, {
    hint: "backup-cloud files lists what is",
  })
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** An entry without where its chunks lie and without what only tells changes. */
function essence(entry: CatalogueEntry): string {
  const attributes = new Map([...entry.attributes].filter(([name]) => name !== "ctime" && name !== "ino"))
  return encodeEntry({ ...entry, attributes, chunks: [] })
}

async function restoreRun(session: Session, name: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const { io } = session
  const salvage = options["salvage"] === true
  if ((options["to"] === undefined) === (options["pipe"] === undefined))
    throw new BackupError("usage", "say where to restore to: --to DIR or --pipe COMMAND; nothing was restored")
  const to = typeof options["to"] === "string" ? options["to"] : ""
  const intoServer = isPostgres(to)
  if (intoServer) await checkedPlace(to, io.env)
  if (intoServer && salvage)
    throw new BackupError("usage", "a database comes whole or not at all; nothing was restored", {
      hint: "salvage into a directory: --to DIR",
    })
  session.doing("opening the release and the list of what the run holds")
  const open = await openRun(session, name, options, salvage)
  const paths = listOf(options, "path")
  const plan = await planOf(open, name, paths.length === 0 ? null : globs(paths, []))
  if (options["listErased"] === true) await listErased(session, open)
  noteLeftOut(session, open)
  if (options["dryRun"] === true) {
    for (const line of planLines(plan)) session.say(line)
    session.event({ event: "result", files: plan.files, bytes: plan.bytes, leftOut: open.view.erasing.leftOut })
    return
  }
  if (typeof options["pipe"] === "string") {
    await pipeFiles(session, open, plan, options["pipe"])
    return
  }
  const intoExisting = options["intoExisting"] === true
  if (intoServer) {
    await restoreIntoPostgres(session, open, plan, to, { intoExisting, ...passwordPlace(options, io.cwd) })
    return
  }
  const { target, where, kind } = await openTarget(session, to, {
    intoExisting,
    setId: options["setId"] === true,
    devices: options["devices"] === true,
    overwrite: options["overwrite"] === true,
    weakerEncryption: options["weakerEncryption"] === true,
    password: passwordPlace(options, io.cwd),
  })
  const started = io.now().getTime()
  const progress = session.progress(open.run.source, "files")
  const result = await restore({
    view: open.view,
    plan,
    target,
    what: restoreName(open, paths),
    salvage,
    verify: options["verify"] === true,
    onEvent(event) {
      if (event.type === "progress") {
        progress?.update({ bytes: event.bytes, items: event.files }, { bytes: plan.bytes, items: plan.files })
        if (options["verify"] === true && event.files === plan.files) session.doing("reading again what was written")
      }
      if (event.type === "lost") session.note(`LOST ${shown(event.path)}: ${event.why}`)
      if (event.type === "problem") session.note(`${shown(event.problem.path)}: ${event.problem.why}`)
      session.event({ ...event, event: event.type })
    },
    signal: AbortSignal.any([io.signal, io.stop]),
  })
  const seconds = (io.now().getTime() - started) / 1000
  session.say(
    `Restored ${result.files} files of ${size(result.bytes)} to ${where} in ${seconds.toFixed(1)} s${result.resumed > 0 ? `, ${result.resumed} of them were there already` : ""}.`,
  )
  tellErased(session, result.erased, where)
  session.event({ event: "result", seconds, ...result, leftOut: open.view.erasing.leftOut })
  for (const hole of open.holes) session.note(`LOST part of the catalogue: ${escapeControl(hole)}`)
  const { all: lost, unmade } = shortfall(open, result)
  if (kind === "ssm" && lost === unmade && lost > 0) {
    throw new BackupError("differs", `${lost} parameters are not as they were backed up; they are listed above`, {
      hint: "what is there was left; --overwrite replaces it",
    })
  }
  if (lost > 0) {
    throw new BackupError("incomplete", `${lost} things could not be restored; they are listed above`, {
      hint: "look for damaged objects on another copy of the archive",
    })
  }
}

/** One command for each file, one after the other; the first that fails ends it. */
async function pipeFiles(session: Session, open: OpenRun, plan: RestorePlan, script: string): Promise<void> {
  const { io } = session
  const signal = AbortSignal.any([io.signal, io.stop])
  const { pipeInto } = await installed("source-command", () => import("@backup-cloud/source-command"))
  let files = 0
  let bytes = 0
  const chosen = new Set([...plan.entries].filter((entry) => entry.type === "f").map((entry) => entry.path))
  // The plan keeps no chunks: they are read once more, as they are wanted.
  for await (const entry of open.entries()) {
    if (!chosen.has(entry.path) || entry.sha256 === null) continue
    const name = fromByteString(entry.path)
    const command = shellCommand(script, "{name}")
    const onLine = (_: string, line: string): void => {
      session.say(line)
    }
    await pipeInto(fileContent(open.view, entry, signal), { name, command, kill: io.kill, onLine }, signal)
    files++
    bytes += entry.size
    session.event({ event: "piped", path: name, bytes: entry.size })
  }
  for (const { number, database, sql } of open.view.erasing.sql) {
    const name = erasureFile(number)
    const content = (async function* () {
      yield sql
    })()
    const command = shellCommand(script, "{name}")
    await pipeInto(
      content,
      {
        name,
        command,
        kill: io.kill,
        onLine: (_, line) => {
          session.say(line)
        },
      },
      signal,
    )
    tellErased(session, [{ number, database, how: "written" }], "what the command made of it")
  }
  session.say(`Restored ${files} files of ${size(bytes)} into the command.`)
  session.event({ event: "result", files, bytes, leftOut: open.view.erasing.leftOut })
}
