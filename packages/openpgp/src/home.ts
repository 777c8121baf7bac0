// GnuPG homes. A temporary one holds nothing but what a door puts there, and is gone with its agent when it is disposed
// of, or once the next one is made after its process was killed; a person's own is only ever used, never changed, removed,
// nor its agent ended.

import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import { leftHomes, markHome, PREFIX } from "./left-homes.ts"

export interface GpgHome extends AsyncDisposable {
  /** The folder; `null` is the person's default one. */
  readonly path: string | null
  readonly program: string
  readonly temporary: boolean
  /** Set by whatever starts an agent for it, which is then ended with it. */
  agent: boolean
}

/** The agent's socket lies in the home, and a socket's path has at most 107 bytes. */
const LONGEST_PATH = 80

/** Ends what gpg may have left running for `path`; what can't be ended ends by itself once its folder is gone. */
function endAgents(program: string, path: string, ...args: string[]): Promise<void> {
  const gpgconf = program.includes("/") ? join(dirname(program), "gpgconf") : "gpgconf"
  return new Promise((resolve) => {
    const child = spawn(gpgconf, ["--homedir", path, ...args], { stdio: "ignore" })
    child.once("error", () => {
      resolve()
    })
    child.once("close", () => {
      resolve()
    })
  })
}

async function removeHome(program: string, path: string, agent: boolean): Promise<void> {
  if (agent) {
    await endAgents(program, path, "--kill", "gpg-agent") // and with it what it has started
    await endAgents(program, path, "--remove-socketdir")
  }
  // An agent that is just ending may still remove its sockets.
  await rm(path, { recursive: true, force: true, maxRetries: 10 })
}

/**
 * A new, empty home with mode 0700; dispose of it when done.
 * @param options.program `gpg` unless given; a path must have `gpgconf` beside it
 * @param options.parent where to make it: the system's temporary folder unless given; `usage` if the path gets too long,
 *   `unavailable` if it can't be made there
 */
export async function openGpgHome(options: { program?: string; parent?: string } = {}): Promise<GpgHome> {
  const program = options.program ?? "gpg"
  const parent = options.parent ?? tmpdir()
  const prefix = join(parent, PREFIX)
  if (Buffer.byteLength(prefix) + 6 >= LONGEST_PATH) {
    throw new BackupError("usage", `${prefix}: too long for a GnuPG home, whose sockets need a short path`, {
      hint: "choose a temporary folder with a short path, such as /tmp",
    })
  }
  for (const left of await leftHomes(parent)) await removeHome(program, left, true).catch(() => {})
  const path = await newHome(prefix)
  const home: GpgHome = {
    path,
    program,
    temporary: true,
    agent: false,
    async [Symbol.asyncDispose]() {
      await removeHome(program, path, home.agent)
    },
  }
  return home
}

async function newHome(prefix: string): Promise<string> {
  let path: string | null = null
  try {
    path = await mkdtemp(prefix)
    await markHome(path)
    return path
  } catch (cause) {
    if (path !== null) await rm(path, { recursive: true, force: true })
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
    const message = `${dirname(prefix)}: no temporary GnuPG home could be made (${code}); nothing was done that needs one`
    const hint = "free some space there, or name another folder with TMPDIR"
    throw new BackupError("unavailable", message, { cause, hint })
  }
}

/** A person's own keyring. @param path as GNUPGHOME; `null` for what gpg finds by itself */
export function personalHome(path: string | null): GpgHome {
  return { path, program: "gpg", temporary: false, agent: false, async [Symbol.asyncDispose]() {} }
}
