// What this machine's kernel says of how a disk is mounted (/proc/self/mountinfo, proc(5)).

import { lstat, readFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { diskFault } from "./disk-faults.ts"

export interface Mount {
  /** Where, absolute. */
  readonly point: string
  /** `/dev/sdb1` */
  readonly device: string
  readonly type: string
  /** Whether nothing can be written through it. */
  readonly readOnly: boolean
}

/** The mount that `path` lies in; `null` where the system does not tell. */
export async function mountOf(path: string): Promise<Mount | null> {
  const text = await readFile("/proc/self/mountinfo", "utf8").catch(() => "")
  const wanted = resolve(path)
  const within = parseMounts(text).filter(
    ({ point }) => point === "/" || wanted === point || wanted.startsWith(`${point}/`),
  )
  // Of several on one point, the last hides the others.
  return within.reduce<Mount | null>(
    (best, each) => (each.point.length >= (best?.point.length ?? 0) ? each : best),
    null,
  )
}

/** Lines of mountinfo. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ")
    const [, , , , point, options = ""] = before.split(" ")
    const [type = "", device = "", superOptions = ""] = after.split(" ")
    if (point === undefined) return []
    const readOnly = [options, superOptions].some((each) => each.split(",").includes("ro"))
    return [{ point: unescape(point), device: unescape(device), type, readOnly }]
  })
}

const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/** Whether `path` is where a file system begins. Throws `not-found` if it is not there. */
export async function isMountPoint(path: string): Promise<boolean> {
  try {
    const [here, above] = await Promise.all([lstat(path), lstat(dirname(path))])
    return here.dev !== above.dev
  } catch (error) {
    throw diskFault(path, error)
  }
}
