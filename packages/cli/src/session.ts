// What most commands need: the machine with its archive, configuration, and how results and remarks are told.

import { BackupError } from "@backup-cloud/format"
import { Machine } from "backup-cloud/parts/machine"
import { type Config, readConfig } from "./config.ts"
import type { CliEvent, Globals, Io } from "./io.ts"
import { plain } from "./io.ts"
import { askForDisk, isMedium } from "./missing.ts"
import { Progress } from "./progress.ts"

export class Session extends Machine {
  readonly io: Io
  readonly globals: Globals
  readonly config: Config

  private constructor(io: Io, globals: Globals, config: Config, offline: boolean) {
    const { archive, home, file, identity } = config
    const { media: copies = [] } = globals
    const disks = { copies, missing: askForDisk(() => this, io, globals.salvage === true) }
    super({
      ...{ archive, home, identity, env: io.env, cwd: io.cwd, now: io.now, random: io.random, signal: io.signal },
      archiveHint: `give --archive URL, set BACKUP_CLOUD_ARCHIVE, or write "archive: URL" into ${file}`,
      ...(offline || copies.length > 0 ? disks : {}),
    })
    this.io = io
    this.globals = globals
    this.config = config
  }

  static async open(io: Io, globals: Globals): Promise<Session> {
    const config = await readConfig(globals, io)
    return new Session(io, globals, config, await isMedium(config.archive, io.cwd))
  }

  /** A line of the result for people; nothing with `--json`. */
  say(text: string): void {
    if (this.globals.json !== true) this.io.out(text)
  }

  /** A remark for people; nothing with `--quiet` or `--json`. */
  note(text: string): void {
    if (this.globals.json !== true && this.globals.quiet !== true) this.io.note(text)
  }

  /** What a person must mend, also with `--quiet`; nothing with `--json`, where an event says it. */
  warn(text: string): void {
    if (this.globals.json !== true) this.io.note(`WARNING: ${text}`)
  }

  /** Tells how far a work is; `null` with `--quiet` or `--json`. As `new Progress`. */
  progress(what: string, unit: string): Progress | null {
    return this.globals.json === true || this.globals.quiet === true ? null : new Progress(this.io, what, unit)
  }

  /** What is being done, on a terminal, until something else is said there. */
  doing(text: string): void {
    if (this.globals.json !== true && this.globals.quiet !== true) this.io.progress(`${text} …`)
  }

  /** An event for programs; nothing without `--json`. */
  event(event: CliEvent): void {
    if (this.globals.json === true) this.io.out(JSON.stringify({ v: 1, ...event }, plain))
  }

  /** Asks unless `--yes` was given. Throws `refused` on a no. */
  async confirm(question: string): Promise<void> {
    if (this.globals.yes === true || (await this.io.confirm(question))) return
    throw new BackupError("refused", "nothing was done")
  }

  /** Whether this runs as root, who alone can give files away. */
  get isRoot(): boolean {
    return this.io.uid === 0
  }
}
