// One command as a whole: wall and processor time, or peak memory, of all its processes. Memory is the sum of their
// proportional set sizes, sampled, so that what they share counts once. Sampling walks the page tables of a process while it
// holds them, and costs those most that have most: a command is timed or sampled, never both.

import { spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { performance } from "node:perf_hooks"

export interface Measured {
  /** Seconds. */
  readonly wall: number
  readonly cpu: number
  /** MiB; 0 where times were wanted. */
  readonly memory: number
}

const SAMPLE_MS = 40

/** Runs `sh -c command`; throws if it fails. @param want with memory, the times mean nothing */
export async function measure(
  command: string,
  env: Readonly<Record<string, string>>,
  want: "times" | "memory",
): Promise<Measured> {
  const started = performance.now()
  // `time` reports what the kernel accounted to the command and all its children that were waited for.
  const child = spawn("/usr/bin/time", ["-f", "CPU %U %S", "sh", "-c", command], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  })
  let errors = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text
  })
  let memory = 0
  const sample = (): void => {
    memory = Math.max(memory, summedPss(child.pid ?? 0))
  }
  const timer = want === "memory" ? setInterval(sample, SAMPLE_MS) : undefined
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve))
  clearInterval(timer)
  const wall = (performance.now() - started) / 1000
  if (code !== 0) throw new Error(`${command} ended with ${code ?? "a signal"}: ${errors}`)
  const [, user = "0", system = "0"] = /CPU ([\d.]+) ([\d.]+)/.exec(errors) ?? []
  return { wall, cpu: Number(user) + Number(system), memory: memory / 1024 }
}

/** Sum of the proportional set sizes of a process and all below it, in KiB. */
function summedPss(root: number): number {
  const parents = new Map<number, number>()
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue
    const stat = attempt(`/proc/${name}/stat`)
    const parent = /\) \S (\d+)/.exec(stat)?.[1]
    if (parent !== undefined) parents.set(Number(name), Number(parent))
  }
  let sum = 0
  for (const pid of parents.keys()) {
    let up: number | undefined = pid
    while (up !== undefined && up !== root) up = parents.get(up)
    if (up === root) sum += Number(/^Pss:\s+(\d+)/m.exec(attempt(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0)
  }
  return sum
}

/** A file of /proc; empty once its process is gone. */
function attempt(file: string): string {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
