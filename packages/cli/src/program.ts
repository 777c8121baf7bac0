// The commands by name. Each file below commands/ declares its own options and does one thing.

import { step } from "@backup-cloud/format"
import { Command } from "commander"
import type { Io } from "./io.ts"
import { collect } from "./options.ts"
import { Session } from "./session.ts"
import { traces } from "./traces.ts"

/** What a command's action is given: the session, then its arguments. */
export type Register = (
  parent: Command,
  usage: string,
  summary: string,
  action: (session: Session, args: string[], options: Readonly<Record<string, unknown>>) => Promise<void>,
) => Command

type Add = (root: Command, register: Register) => void

interface Group {
  /** As help has it. */
  readonly title: string
  /** The names of commands, and the module that adds them; a name may be in several. In the order of help. */
  readonly modules: readonly (readonly [names: readonly string[], load: () => Promise<Add>])[]
}

export const GROUPS: readonly Group[] = [
  {
    title: "To set up:",
    modules: [
      [["init", "trust"], async () => (await import("./commands/archive.ts")).addArchiveCommands],
      [["holder", "operator", "keys"], async () => (await import("./commands/people.ts")).addPeopleCommands],
      [["verifier"], async () => (await import("./commands/verifier.ts")).addVerifierCommands],
      [["source"], async () => (await import("./commands/source.ts")).addSourceCommands],
      [["policy"], async () => (await import("./commands/policy.ts")).addPolicyCommands],
      [["policy"], async () => (await import("./commands/keep.ts")).addKeepCommands],
    ],
  },
  {
    title: "To back up, and to see that all is well:",
    modules: [
      [["backup"], async () => (await import("./commands/backup.ts")).addBackupCommand],
      [["runs", "status", "verify"], async () => (await import("./commands/report.ts")).addReportCommands],
      [["coverage"], async () => (await import("./commands/coverage.ts")).addCoverageCommand],
      [["schedule"], async () => (await import("./commands/schedule.ts")).addScheduleCommand],
      [["doctor"], async () => (await import("./commands/doctor.ts")).addDoctorCommand],
      [["media"], async () => (await import("./commands/media.ts")).addMediaCommands],
    ],
  },
  {
    title: "To let data go:",
    modules: [
      [["expire"], async () => (await import("./commands/expire.ts")).addExpireCommand],
      [["erase"], async () => (await import("./commands/erase.ts")).addEraseCommands],
    ],
  },
  {
    title: "For scripts:",
    modules: [
      [["context", "run", "seal", "upload"], async () => (await import("./commands/context.ts")).addContextCommands],
    ],
  },
  {
    title: "To bring data back:",
    modules: [
      [["request"], async () => (await import("./commands/request.ts")).addRequestCommand],
      [["keyholder"], async () => (await import("./commands/keyholder.ts")).addKeyholderCommands],
      [["files", "cat", "diff", "restore"], async () => (await import("./commands/restore.ts")).addRestoreCommands],
      [["drill"], async () => (await import("./commands/drill.ts")).addDrillCommand],
      [["ssm"], async () => (await import("./commands/ssm.ts")).addSsmCommands],
      [["handed"], async () => (await import("./commands/object.ts")).addHandedCommands],
    ],
  },
]

/**
 * Commands start in two thirds of the time when only what they need is loaded: the modules of all words that are names of commands, of
 * which one is the command's own; those of all commands where none is, since then help is wanted, or something is misspelt.
 */
function wanted(words: readonly string[]): (names: readonly string[]) => boolean {
  const given = new Set(words)
  const named = (names: readonly string[]): boolean => names.some((name) => given.has(name))
  return GROUPS.some(({ modules }) => modules.some(([names]) => named(names))) ? named : () => true
}

/** With those that it is below: `backup-cloud media sync`. */
function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`
}

/** @param words of the command line, without the program */
export async function program(io: Io, words: readonly string[]): Promise<Command> {
  const root = new Command("backup-cloud")
    .description("Backups that the machine making them cannot read.")
    .version("0.1.0")
    .option("--archive <url>", "where the archive is: /path, s3://bucket/prefix, ssm:/base/path")
    .option("--media <dir>", "another disk to read from, besides the archive; repeat", collect)
    .option("--config <file>", "this machine's backup-cloud.yaml")
    .option("--home <dir>", "this machine's secrets and memory")
    .option("--json", "one JSON object a line, the last one the result")
    .option("--quiet", "nothing but results and errors")
    .option("--yes", "do not ask")
    // They may stand anywhere, also after a command.
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => {
        io.out(text.trimEnd())
      },
      writeErr: (text) => {
        io.note(text.trimEnd())
      },
    })
  const register: Register = (parent, usage, summary, action) => {
    const command = parent.command(usage).description(summary)
    if (/[<[]run[>\]]/.test(usage))
      command.addHelpText(
        "after",
        "\nA run is NAME@latest, NAME@RUN-ID or NAME@2026-11-20; backup-cloud runs lists them.",
      )
    return command.action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command
      const options: Record<string, unknown> = self.optsWithGlobals()
      await using held = new AsyncDisposableStack()
      const session = held.use(await Session.open(io, options))
      held.use(await traces(session))
      await step(nameOf(self), {}, () => action(session, self.args, options))
    })
  }
  const isWanted = wanted(words)
  for (const { title, modules } of GROUPS) {
    root.commandsGroup(title)
    for (const [names, load] of modules) if (isWanted(names)) (await load())(root, register)
  }
  return root
}
