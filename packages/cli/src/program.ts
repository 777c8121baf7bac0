// The commands by name. Each file below commands/ declares its own options and does one thing.

import { Command } from "commander"
import { addArchiveCommands } from "./commands/archive.ts"
import { addBackupCommand } from "./commands/backup.ts"
import { addContextCommands } from "./commands/context.ts"
import { addCoverageCommand } from "./commands/coverage.ts"
import { addDoctorCommand } from "./commands/doctor.ts"
import { addDrillCommand } from "./commands/drill.ts"
import { addEraseCommands } from "./commands/erase.ts"
import { addExpireCommand } from "./commands/expire.ts"
import { addKeepCommands } from "./commands/keep.ts"
import { addKeyholderCommands } from "./commands/keyholder.ts"
import { addMediaCommands } from "./commands/media.ts"
import { addHandedCommands } from "./commands/object.ts"
import { addPeopleCommands } from "./commands/people.ts"
import { addPolicyCommands } from "./commands/policy.ts"
import { addReportCommands } from "./commands/report.ts"
import { addRequestCommand } from "./commands/request.ts"
import { addRestoreCommands } from "./commands/restore.ts"
import { addScheduleCommand } from "./commands/schedule.ts"
import { addSourceCommands } from "./commands/source.ts"
import { addSsmCommands } from "./commands/ssm.ts"
import { addVerifierCommands } from "./commands/verifier.ts"
import type { Io } from "./io.ts"
import { collect } from "./options.ts"
import { Session } from "./session.ts"

/** What a command's action is given: the session, then its arguments. */
export type Register = (
  parent: Command,
  usage: string,
  summary: string,
  action: (session: Session, args: string[], options: Readonly<Record<string, unknown>>) => Promise<void>,
) => Command

/** As help lists them. */
const GROUPS: readonly (readonly [string, readonly ((root: Command, register: Register) => void)[]])[] = [
  [
    "To set up:",
    [addArchiveCommands, addPeopleCommands, addVerifierCommands, addSourceCommands, addPolicyCommands, addKeepCommands],
  ],
  [
    "To back up, and to see that all is well:",
    [addBackupCommand, addReportCommands, addCoverageCommand, addScheduleCommand, addDoctorCommand, addMediaCommands],
  ],
  ["To let data go:", [addExpireCommand, addEraseCommands]],
  ["For scripts:", [addContextCommands]],
  [
    "To bring data back:",
    [addRequestCommand, addKeyholderCommands, addRestoreCommands, addDrillCommand, addSsmCommands, addHandedCommands],
  ],
]

export function program(io: Io): Command {
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
      await using session = await Session.open(io, options)
      await action(session, self.args, options)
    })
  }
  for (const [title, adders] of GROUPS) {
    root.commandsGroup(title)
    for (const add of adders) add(root, register)
  }
  return root
}
