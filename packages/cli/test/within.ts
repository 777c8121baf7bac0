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
  const signals = new EventEmitter()
  const own = {
    ...{ env, stdout, stderr, stdin: { isTTY: false } },
    argv: [process.execPath, "backup-cloud", ...args],
    cwd: () => world.place,
    on: signals.on.bind(signals),
    off: signals.off.bind(signals),
  }
  // All else is as in this process.
  const host = new Proxy(process, {
    get: (target, name): unknown => Reflect.get(name in own ? own : target, name),
  })
  return { status: await run(host), stdout: stdout.text, stderr: stderr.text }
}
