// Runs the real command from its sources with an environment, a folder and a standard input that a test chooses.

import { spawn } from "node:child_process"
import { join } from "node:path"
import { type Ended, fromSources, type World } from "./world.ts"

const program = join(import.meta.dirname, "../bin/backup-cloud.js")

export interface Surroundings {
  readonly cwd: string
  /** The whole environment but for what the program's sources need. */
  readonly env: Readonly<Record<string, string>>
}

/** Runs the command to its end; its standard input is empty. */
export async function run(where: Surroundings, ...args: string[]): Promise<Ended> {
  const env = { ...where.env, ...fromSources }
  const child = spawn(process.execPath, [program, ...args], {
    cwd: where.cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (piece: Buffer) => (stdout += piece.toString()))
  child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()))
  return await new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (status) => {
      resolve({ status, stdout, stderr })
    })
  })
}

/** The surroundings of one of the world's people, `more` over it. */
export function of(world: World, who: string, more: Readonly<Record<string, string>> = {}): Surroundings {
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: world.file(who),
    GNUPGHOME: world.file(who),
    BACKUP_CLOUD_HOME: join(world.file(who), "backup-cloud"),
    BACKUP_CLOUD_CONFIG: join(world.file(who), "backup-cloud.yaml"),
    ...more,
  }
  return { cwd: world.place, env }
}
