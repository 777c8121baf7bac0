// Runs a command within the test's own process, as somebody of a world: for tests that run one very often.

import { EventEmitter } from "node:events"
import { run } from "../src/main.ts"
import type { Ended, World } from "./world.ts"

class Sink extends EventEmitter {
  text = ""
  write(piece: string): boolean {
    this.text += piece
    return true
  }
}

/** How the command ended, and what it said. */
export async function within(world: World, who: string, ...args: string[]): Promise<Ended> {
  const home = world.file(who)
  const stdout = new Sink()
  const stderr = new Sink()
  const env = {
    ...process.env,
    GNUPGHOME: home,
    BACKUP_CLOUD_HOME: `${home}/backup-cloud`,
    BACKUP_CLOUD_CONFIG: `${home}/backup-cloud.yaml`,
  }
  const host = Object.assign(new EventEmitter(), {
    ...{ env, stdout, stderr, stdin: { isTTY: false } },
    argv: [process.execPath, "backup-cloud", ...args],
    cwd: () => world.place,
    getuid: () => process.getuid?.(),
  })
  const status = await run(host as unknown as typeof process)
  return { status, stdout: stdout.text, stderr: stderr.text }
}
