// What the tests of commands share: options with the real `process.kill`, and whether a process still runs.

import { readFileSync } from "node:fs"
import { kill } from "node:process"
import type { SourceEntry } from "@backup-cloud/format"
import { type CommandSourceOptions, commandSource, type NamedStream, type RunOptions } from "../src/index.ts"

export const running: RunOptions = { kill, onLine: () => undefined }

export function sourceOf(streams: readonly NamedStream[], more: Partial<CommandSourceOptions> = {}) {
  return commandSource({ ...running, streams, now: () => new Date("2026-11-24T08:00:00.700Z"), ...more })
}

/** One stream of what the shell does. */
export const sh = (name: string, script: string): NamedStream => ({ name, command: ["sh", "-c", script] })

/** The content of the stream of this name, which must be listed. */
export async function open(
  streams: readonly NamedStream[],
  name: string,
  signal: AbortSignal,
  more: Partial<CommandSourceOptions> = {},
): Promise<AsyncIterator<Uint8Array>> {
  const entries: SourceEntry[] = []
  for await (const batch of sourceOf(streams, more).entries(signal)) entries.push(...batch)
  const content = entries.find((entry) => entry.path === name)?.content
  if (content?.kind !== "stream") throw new Error(`${name} is not listed as a stream`)
  return (await content.open(signal)).bytes[Symbol.asyncIterator]()
}

/** All that is left to read. */
export async function rest(bytes: AsyncIterator<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for (;;) {
    const next = await bytes.next()
    if (next.done === true) return Buffer.concat(pieces).toString("latin1")
    pieces.push(next.value)
  }
}

/** Waits until none of them runs: one that was killed lets go of its pipes a little before it is gone. Throws after 5 s. */
export async function haveEnded(pids: readonly string[]): Promise<void> {
  for (let tries = 0; pids.some(isRunning); tries++) {
    if (tries === 500) throw new Error(`of ${pids.join(", ")}, ${pids.filter(isRunning).join(", ")} still runs`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Whether a process is there and no zombie. */
export function isRunning(pid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    return !["Z", "X"].includes(stat.slice(stat.lastIndexOf(")") + 2).charAt(0))
  } catch {
    return false
  }
}
