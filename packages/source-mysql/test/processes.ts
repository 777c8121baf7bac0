// The programs that a test's process runs, and what of theirs lies in memory.

import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { pid as ownPid } from "node:process"
import { processMark } from "@backup-cloud/format"

const MEMORY = "/dev/shm"
const ownMark = await processMark()

/** Folders of this process in which mydumper's files lie. */
export function staged(): string[] {
  return readdirSync(MEMORY)
    .filter((name) => name.startsWith("backup-cloud-mydumper-"))
    .map((name) => join(MEMORY, name))
    .filter((folder) => {
      try {
        return readFileSync(join(folder, "owner"), "latin1") === ownMark
      } catch {
        return false
      }
    })
}

/** Ids of the running programs that this process started. */
export function children(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "latin1")
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
        return state !== "Z" && parent === String(ownPid)
      } catch {
        return false
      }
    })
    .map(Number)
}

export const programOf = (id: number): string => {
  try {
    return readlinkSync(`/proc/${id}/exe`)
  } catch {
    return ""
  }
}
