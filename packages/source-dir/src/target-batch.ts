// Work that Node.js has no call for, done by other programs in batches: times to the nanosecond, fifos and devices,
// extended attributes, access lists. Names go through standard input, since an argument cannot hold every byte.
//
// `fs.utimes` takes floating seconds, which near the year 2026 are 238 ns apart. `touch` is exact but sets one time for
// each process (0.5 ms); perl, which Debian's base system has, sets 70,000 in 0.2 s through the system call itself.

import { spawn } from "node:child_process"
import { arch, platform } from "node:os"
import { BackupError } from "@backup-cloud/format"

/** A time of an entry: seconds since 1970, rounded down, and nanoseconds to add. */
export interface Nanotime {
  readonly seconds: number
  readonly nanoseconds: number
}

/** Reads the catalogue's `<seconds>.<nine digits>`. */
export function nanotime(mtime: string): Nanotime {
  const dot = mtime.indexOf(".")
  return { seconds: Number(mtime.slice(0, dot)), nanoseconds: Number(mtime.slice(dot + 1)) }
}

/** What a batch hands back: exit status and standard output, as a byte string. */
interface Ended {
  readonly status: number
  readonly output: string
}

/** Runs `program` with `input` (a byte string) on its standard input; `null` if there is no such program. */
function run(program: string, args: readonly string[], input: string, signal: AbortSignal): Promise<Ended | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], signal })
    const output: Buffer[] = []
    child.stdout.on("data", (piece: Buffer) => output.push(piece))
    child.stderr.resume()
    // The exit status tells; a program that stops reading early must not end this process.
    child.stdin.on("error", () => undefined)
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") resolve(null)
      else if (signal.aborted) reject(signal.reason as Error)
      else reject(new BackupError("unavailable", `${program} cannot be run`, { cause: error }))
    })
    child.on("close", (status) => {
      resolve({ status: status ?? 1, output: Buffer.concat(output).toString("latin1") })
    })
    child.stdin.end(Buffer.from(input, "latin1"))
  })
}

/** A byte string as one word of a shell script. */
export function quoted(bytes: string): string {
  return `'${bytes.replaceAll("'", "'\\''")}'`
}

/**
 * Runs shell commands one after the other. Returns the indices of those that failed.
 * @param commands byte strings, a command each
 */
export async function runCommands(commands: readonly string[], signal: AbortSignal): Promise<Set<number>> {
  if (commands.length === 0) return new Set()
  const script = commands.map((command, i) => `${command} || echo ${i}\n`).join("")
  const ended = await run("sh", [], script, signal)
  if (ended?.status !== 0) throw new BackupError("unavailable", "sh did not run to its end")
  return new Set(ended.output.split("\n").filter(Boolean).map(Number))
}

const UTIMENSAT: Partial<Record<string, number>> = { x64: 280, arm64: 88 }

/** Sets times of last change without following links. Returns the indices of those that failed. */
export async function setTimes(
  items: readonly { readonly path: string; readonly time: Nanotime }[],
  signal: AbortSignal,
): Promise<Set<number>> {
  if (items.length === 0) return new Set()
  const call = platform() === "linux" ? UTIMENSAT[arch()] : undefined
  if (call !== undefined) {
    // -100 is AT_FDCWD, 0x100 AT_SYMLINK_NOFOLLOW, 1073741822 UTIME_OMIT: the time of last access stays.
    const program = `my($s,$n,$p)=split / /,$_,3; chop $p; my $t=pack("q4",0,1073741822,$s,$n); syscall(${call},-100,$p,$t,0x100)==0 or print $.-1,"\\n"`
    const input = items.map((i) => `${i.time.seconds} ${i.time.nanoseconds} ${i.path}\0`).join("")
    const ended = await run("perl", ["-0", "-ne", program], input, signal)
    if (ended?.status === 0) return new Set(ended.output.split("\n").filter(Boolean).map(Number))
  }
  return await touchTimes(items, signal)
}

/** As `setTimes`, where there is no perl. */
export async function touchTimes(
  items: readonly { readonly path: string; readonly time: Nanotime }[],
  signal: AbortSignal,
): Promise<Set<number>> {
  return await runCommands(
    items.map((i) => `touch -h -m -d @${decimal(i.time)} -- ${quoted(i.path)} 2>/dev/null`),
    signal,
  )
}

/** The usual decimal form, in which digits of a negative number take away. */
function decimal(time: Nanotime): string {
  const total = BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds)
  const digits = String(total < 0n ? -total : total).padStart(10, "0")
  return `${total < 0n ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** A name as `getfattr --dump` and `getfacl` write it after `# file: `. */
function escaped(bytes: string): string {
  return bytes.replace(/[^A-Za-z0-9/._+,:@~-]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`)
}

/** Extended attributes or access lists of one path: absolute, byte strings. */
export interface Extras {
  readonly path: string
  readonly xattrs: ReadonlyMap<string, string>
  /** Lines as `getfacl` writes them; `null` for none. */
  readonly acl: string | null
}

/** Sets extended attributes, then access lists. Returns what failed, as a sentence each; the batch goes on behind it. */
export async function setExtras(items: readonly Extras[], signal: AbortSignal): Promise<string[]> {
  const why: string[] = []
  const dump = (item: Extras): string => {
    const lines = [...item.xattrs].map(([name, value]) => {
      return `${escaped(name)}=0x${Buffer.from(value, "latin1").toString("hex")}\n`
    })
    return `# file: ${escaped(item.path)}\n${lines.join("")}\n`
  }
  const attributed = items.filter((item) => item.xattrs.size > 0)
  if (attributed.length > 0) {
    const ended = await run("setfattr", ["-h", "--restore=-"], attributed.map(dump).join(""), signal)
    if (ended === null) why.push("extended attributes are missing: there is no setfattr on this machine")
    else if (ended.status !== 0) why.push("some extended attributes could not be set: setfattr failed")
  }
  const listed = items.filter((item) => item.acl !== null)
  if (listed.length > 0) {
    const text = listed.map((item) => `# file: ${escaped(item.path)}\n${item.acl ?? ""}\n\n`).join("")
    const ended = await run("setfacl", ["--restore=-"], text, signal)
    if (ended === null) why.push("access lists are missing: there is no setfacl on this machine")
    else if (ended.status !== 0) why.push("some access lists could not be set: setfacl failed")
  }
  return why
}
