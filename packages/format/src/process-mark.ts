// Marks that tell whether the process which left one still runs: for what a process that is killed leaves behind. A process
// id alone is given out again, so a mark also holds when the process started, in which boot of the machine, and in which
// namespace its id counts.
//
// Not promised: anything where there is no /proc, and anything about the processes of another container.

import { readFile, readlink } from "node:fs/promises"

const PATTERN = /^[1-9][0-9]* [0-9]+ pid:\[[0-9]+\] [0-9a-f-]{36}$/

/** `unknown`: no mark, or none that can be judged from here. */
export type Life = "running" | "ended" | "unknown"

/** The mark of this process, one line without its end; `null` where the system does not tell. */
export async function processMark(): Promise<string | null> {
  try {
    const stat = await readFile("/proc/self/stat", "latin1")
    const [namespace, boot] = await here()
    return [Number.parseInt(stat, 10), fieldsOf(stat).started, namespace, boot].join(" ")
  } catch {
    return null
  }
}

/** Whether the process that made the mark still runs. */
export async function lifeOf(mark: string): Promise<Life> {
  if (!PATTERN.test(mark)) return "unknown"
  const [pid = "", started, namespace, boot] = mark.split(" ")
  try {
    const [ownNamespace, ownBoot] = await here()
    if (boot !== ownBoot) return "ended"
    if (namespace !== ownNamespace) return "unknown"
  } catch {
    return "unknown"
  }
  try {
    const now = fieldsOf(await readFile(`/proc/${pid}/stat`, "latin1"))
    return now.started === started && !["Z", "X"].includes(now.state) ? "running" : "ended"
  } catch (error) {
    return error instanceof Error && "code" in error && ["ENOENT", "ESRCH"].includes(String(error.code))
      ? "ended"
      : "unknown"
  }
}

async function here(): Promise<[string, string]> {
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "latin1")
  return [await readlink("/proc/self/ns/pid"), boot.trim()]
}

/** State and start, in ticks since boot, from `/proc/PID/stat` (proc(5)). The name before them may hold anything. */
function fieldsOf(stat: string): { state: string; started: string } {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return { state: fields[0] ?? "", started: fields[19] ?? "" }
}
