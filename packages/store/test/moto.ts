// Starts moto's server, an AWS in one process, on a free loopback port, and ends it by its process id.

import { spawn } from "node:child_process"
import { access } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { env } from "node:process"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "./helpers.ts"

export interface Moto {
  readonly endpoint: string
  /** Switches the checking of signatures and rights on or off. Off, anybody may do anything. */
  enforceRights(on: boolean): Promise<void>
  /** Rights are enforced, but for the next request. */
  letOneThrough(): Promise<void>
  close(): Promise<void>
}

/** Keys that are good for as long as rights are not enforced. */
export const anybody = { accessKeyId: "anybody", secretAccessKey: "secret" }

export async function startMoto(): Promise<Moto> {
  const program = await findProgram()
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const server = spawn(program, ["-H", "127.0.0.1", "-p", String(port)], { stdio: ["ignore", "ignore", "pipe"] })
  let said = ""
  server.stderr.on("data", (piece: Buffer) => {
    said = (said + piece.toString()).slice(-2000)
  })
  const ended = new Promise<void>((resolve) =>
    server.once("exit", () => {
      resolve()
    }),
  )
  for (let tries = 0; ; tries++) {
    if (server.exitCode !== null || tries > 600) throw new Error(`moto_server did not start:\n${said}`)
    const answer = await fetch(`${endpoint}/moto-api/`).catch(() => null)
    if (answer?.ok === true) break
    // How long a Python server takes to start is known to nobody but the server.
    await sleep(50)
  }
  return {
    endpoint,
    enforceRights: async (on) => {
      await resetRights(endpoint, on ? 0 : 1_000_000_000)
    },
    letOneThrough: async () => {
      await resetRights(endpoint, 1)
    },
    close: async () => {
      server.kill("SIGKILL")
      await ended
    },
  }
}

/** @param free how many requests go through before rights count */
async function resetRights(endpoint: string, free: number): Promise<void> {
  const answer = await fetch(`${endpoint}/moto-api/reset-auth`, { method: "POST", body: String(free) })
  if (!answer.ok) throw new Error(`moto_server: reset-auth answered ${answer.status}`)
}

async function findProgram(): Promise<string> {
  for (const folder of (env["PATH"] ?? "").split(delimiter)) {
    const file = join(folder, "moto_server")
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  throw new Error(
    "these tests need moto_server, which is not on PATH: install it with  pip install 'moto[server]==5.2.1'",
  )
}
