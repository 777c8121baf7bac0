// Extended attributes and access lists of the entries of a batch, by `getfattr` and `getfacl`, which Node.js has no
// calls for. Names go through `xargs -0`: an argument of a process that Node.js starts cannot hold every byte.
// Both programs escape what they print, so a newline in a name cannot pose as another file's line.
//
// A program that fails for some file of a batch says for which in words only, and getfattr then even ends with status 0.
// So a batch that made it complain is halved until the file stands alone; that one `lacks` some of what was asked for,
// and keeps its content.

import { spawn } from "node:child_process"
import { lstatSync } from "node:fs"
import { BackupError, type SourceEntry } from "@backup-cloud/format"
import { native } from "./walk.ts"

export interface ExtraKinds {
  readonly xattrs: boolean
  readonly acls: boolean
}

interface Tool {
  readonly kind: "acl" | "xattr"
  readonly command: readonly [string, ...string[]]
  /** Debian's name of what brings it. */
  readonly package: string
}

const getfattr: Tool = {
  kind: "xattr",
  command: ["getfattr", "-h", "--dump", "--encoding=hex", "--match=-", "--absolute-names", "--"],
  package: "attr",
}

// Files with nothing beyond their mode are passed over, and so are links, which have no access lists. The remarks on
// effective rights would follow from the rest. The header stays: it says which file is meant.
const getfacl: Tool = {
  kind: "acl",
  command: ["getfacl", "--skip-base", "--no-effective", "--physical", "--numeric", "--absolute-names", "--"],
  package: "acl",
}

/** Attributes by absolute byte string; `lacks` are files that could not be asked. */
interface Found {
  readonly attributes: Map<string, Map<string, string>>
  readonly lacks: Set<string>
}

/**
 * `batch` with attributes `xattr.<name>`, `acl`, `acl.default` and `lacks` added. Throws `unavailable` with the command
 * that installs what is missing.
 * @param root absolute byte string
 */
export async function withExtras(
  batch: readonly SourceEntry[],
  root: string,
  kinds: ExtraKinds,
  signal: AbortSignal,
): Promise<SourceEntry[]> {
  const file = ({ path }: SourceEntry): string => (path === "." ? root : `${root === "/" ? "" : root}/${path}`)
  // A hard link has the attributes of its first name.
  const known = batch.filter((entry) => entry.type !== "u" && entry.type !== "h")
  const listable = known.filter((entry) => entry.type !== "l")
  const [xattrs, acls] = await Promise.all([
    kinds.xattrs ? ask(getfattr, known.map(file), (text) => parseXattrs(text, kinds.acls), signal) : nothing(),
    kinds.acls ? ask(getfacl, listable.map(file), parseAcls, signal) : nothing(),
  ])
  return batch.map((entry) => {
    const name = file(entry)
    const lacks = [...(acls.lacks.has(name) ? ["acl"] : []), ...(xattrs.lacks.has(name) ? ["xattr"] : [])]
    const more = [...(acls.attributes.get(name) ?? []), ...(xattrs.attributes.get(name) ?? [])]
    if (lacks.length > 0) more.push(["lacks", lacks.join(",")])
    return more.length === 0 ? entry : { ...entry, attributes: new Map([...entry.attributes, ...more]) }
  })
}

function nothing(): Found {
  return { attributes: new Map(), lacks: new Set() }
}

type Parse = (text: string) => Found["attributes"]

async function ask(tool: Tool, files: readonly string[], parse: Parse, signal: AbortSignal): Promise<Found> {
  const { text, whole } = files.length === 0 ? { text: "", whole: true } : await run(tool, files, signal)
  const [first] = files
  if (whole || first === undefined) return { attributes: parse(text), lacks: new Set() }
  if (files.length === 1) return { attributes: parse(text), lacks: new Set(isGone(first) ? [] : [first]) }
  const half = files.length >>> 1
  const before = await ask(tool, files.slice(0, half), parse, signal)
  const after = await ask(tool, files.slice(half), parse, signal)
  return {
    attributes: new Map([...before.attributes, ...after.attributes]),
    lacks: new Set([...before.lacks, ...after.lacks]),
  }
}

function isGone(file: string): boolean {
  try {
    return lstatSync(native(file), { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

/** What `tool` prints, as a byte string; not `whole` if it complained. */
interface Printed {
  readonly text: string
  readonly whole: boolean
}

function run(tool: Tool, files: readonly string[], signal: AbortSignal): Promise<Printed> {
  return new Promise((resolve, reject) => {
    const child = spawn("xargs", ["-0", "-r", ...tool.command], { stdio: ["pipe", "pipe", "pipe"], signal })
    const pieces: Buffer[] = []
    let complained = false
    child.stdout.on("data", (piece: Buffer) => pieces.push(piece))
    child.stderr.on("data", () => {
      complained = true
    })
    // A program that ends early is judged by its exit status.
    child.stdin.on("error", () => undefined)
    child.on("error", (error) => {
      if (signal.aborted) reject(signal.reason as Error)
      else reject(missing("xargs", "findutils", error))
    })
    child.on("close", (status) => {
      // xargs: 123 if the program failed, 126 and 127 if it could not be started.
      if (status === 0 || status === 123) {
        resolve({ text: Buffer.concat(pieces).toString("latin1"), whole: status === 0 && !complained })
      } else reject(missing(tool.command[0], tool.package, new Error(`xargs ended with status ${status ?? "none"}`)))
    })
    child.stdin.end(Buffer.from(files.map((file) => `${file}\0`).join(""), "latin1"))
  })
}

function missing(program: string, from: string, cause: unknown): BackupError {
  const hint = `install it: apt-get install ${from}`
  return new BackupError("unavailable", `${program}, which reads what was asked for, cannot be run`, { cause, hint })
}

/** Calls `each` with the file a line belongs to, for all lines but comments. */
function eachLine(text: string, each: (attributes: Map<string, string>, line: string) => void): Found["attributes"] {
  const files: Found["attributes"] = new Map()
  let current = new Map<string, string>()
  for (const line of text.split("\n")) {
    if (line.startsWith("# file: ")) {
      current = new Map()
      files.set(unescape(line.slice("# file: ".length)), current)
    } else if (line !== "" && !line.startsWith("#")) each(current, line)
  }
  return files
}

/** Output of `getfattr --dump --encoding=hex`. @param withoutAcls leave out what `getfacl` tells */
export function parseXattrs(text: string, withoutAcls: boolean): Found["attributes"] {
  return eachLine(text, (attributes, line) => {
    const equals = line.indexOf("=")
    const name = unescape(equals < 0 ? line : line.slice(0, equals))
    if (withoutAcls && name.startsWith("system.posix_acl_")) return
    const hex = equals < 0 ? "" : line.slice(equals + "=0x".length)
    attributes.set(`xattr.${name}`, Buffer.from(hex, "hex").toString("latin1"))
  })
}

/** Output of `getfacl`. Three lines say what the mode says, so `acl` is there only if there are more. */
export function parseAcls(text: string): Found["attributes"] {
  const files = eachLine(text, (attributes, line) => {
    const name = line.startsWith("default:") ? "acl.default" : "acl"
    attributes.set(name, `${attributes.get(name) ?? ""}${line}\n`)
  })
  for (const attributes of files.values()) if (attributes.get("acl")?.split("\n").length === 4) attributes.delete("acl")
  return files
}

/** Undoes `\ooo` and, as getfacl has it, `\\`. */
function unescape(text: string): string {
  return text.replace(/\\(?:([0-7]{3})|\\)/g, (_, octal: string | undefined) => {
    return octal === undefined ? "\\" : String.fromCharCode(Number.parseInt(octal, 8))
  })
}
