// Restores entries into a directory. Every file is staged in a folder of its own inside the target, on the same file
// system, and gets its name only when whole; directories stay 0700 until the end, then get mode, owner and times, the
// deepest first. Nothing is written through a symbolic link and nothing that was there is replaced.
//
// Not promised: times of last access and change, sockets (a program makes its own when it listens), and durability: call
// `sync` before unplugging. What an interrupted restore had in place stays and is checked, not written, the next time.

import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { resolve } from "node:path"
import {
  BackupError,
  type CatalogueEntry,
  type ErasingTarget,
  erasureFile,
  type SqlErasure,
  type TargetProblem,
} from "@backup-cloud/format"
import { type Extras, type Nanotime, nanotime, quoted, runCommands, setExtras, setTimes } from "./target-batch.ts"
import { native, Place, shown, translated } from "./target-place.ts"
import { Staging } from "./target-staging.ts"

export interface DirTargetOptions {
  /** The directory; made, with parents, if it is not there. */
  readonly root: string
  /** Go into a directory that holds other things. They are kept; an entry that differs from them is a `conflict`. */
  readonly intoExisting?: boolean
  /** Restore set-user-id and set-group-id bits. */
  readonly setId?: boolean
  /** Restore block and character devices. */
  readonly devices?: boolean
  /** Give entries their owner and group, which only root can. */
  readonly owner?: boolean
}

const STAGING = ".backup-cloud-restore-"
const TIMES_AT_ONCE = 20_000
const READ_AT_ONCE = 1_048_576

/** A target below `root`. One restore each. */
export function dirTarget(options: DirTargetOptions): ErasingTarget {
  return new DirTarget(options)
}

class DirTarget implements ErasingTarget {
  readonly #options: DirTargetOptions
  readonly #place: Place
  #staging = new Staging("")
  readonly #problems: TargetProblem[] = []
  #times: { path: string; time: Nanotime }[] = []
  #specials: { entry: CatalogueEntry; command: string }[] = []
  readonly #directories: CatalogueEntry[] = []
  /** Files whose mode waits until attributes are set: without the right to write, those could not be. */
  readonly #late: CatalogueEntry[] = []

  constructor(options: DirTargetOptions) {
    this.#options = options
    this.#place = new Place(resolve(options.root))
  }

  async begin(what: string): Promise<void> {
    const { root } = this.#place
    const name = `${STAGING}${createHash("sha256").update(what).digest("hex").slice(0, 16)}`
    const folder = `${root}/${name}`
    try {
      fs.mkdirSync(native(root), { recursive: true, mode: 0o700 })
      const present = fs.readdirSync(native(root), "latin1")
      const other = present.find((n) => n.startsWith(STAGING) && n !== name)
      if (other !== undefined)
        throw new BackupError("conflict", `${shown(root)}: an interrupted restore of something else is there`, {
          hint: `restore to another directory, or remove ${shown(other)} and what it brought`,
        })
      const resumed = present.includes(name)
      if (present.length > 0 && !resumed && this.#options.intoExisting !== true)
        throw new BackupError("conflict", `${shown(root)}: is not empty`, {
          hint: "name an empty directory, or say --into-existing",
        })
      this.#place.shared = present.length > 0
      this.#place.reserved = name
      if (resumed) emptyOwn(folder)
      else fs.mkdirSync(native(folder), { mode: 0o700 })
    } catch (error) {
      throw translated(error, root)
    }
    this.#staging = new Staging(folder)
  }

  async has(entry: CatalogueEntry, signal: AbortSignal): Promise<boolean> {
    if (!this.#place.shared) return false
    const file = this.#place.resolve(entry.path)
    const stat = this.#place.stat(entry.path)
    if (stat === null) return false
    if (!stat.isFile() || stat.size !== entry.size || (await this.#digest(entry, signal)) !== entry.sha256) {
      throw new BackupError("conflict", `${shown(entry.path)}: something else with this name is there already`, {
        hint: "nothing was overwritten; restore to an empty directory",
      })
    }
    await this.#guard(entry, async () => {
      const fd = fs.openSync(native(file), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
      try {
        this.#dress(fd, entry)
      } finally {
        fs.closeSync(fd)
      }
      await this.#later(entry, file, signal)
    })
    return true
  }

  async #digest(entry: CatalogueEntry, signal: AbortSignal): Promise<string> {
    const hash = createHash("sha256")
    for await (const piece of this.read(entry, signal)) hash.update(piece)
    return hash.digest("hex")
  }

  async write(entry: CatalogueEntry, offset: number, bytes: Uint8Array): Promise<void> {
    try {
      this.#staging.write(entry, offset, bytes)
    } catch (error) {
      throw translated(error, entry.path)
    }
  }

  async *read(entry: CatalogueEntry, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const staged = this.#staging.holds(entry.path)
    const flags = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW
    try {
      const fd = staged ? this.#staging.fd(entry.path) : fs.openSync(native(this.#place.resolve(entry.path)), flags)
      try {
        if (staged) fs.ftruncateSync(fd, entry.size)
        for (let at = 0; ; ) {
          signal.throwIfAborted()
          const piece = Buffer.allocUnsafe(READ_AT_ONCE)
          const n = fs.readSync(staged ? this.#staging.fd(entry.path) : fd, piece, 0, piece.length, at)
          if (n === 0) return
          at += n
          yield piece.subarray(0, n)
        }
      } finally {
        if (!staged) fs.closeSync(fd)
      }
    } catch (error) {
      throw signal.aborted ? error : translated(error, entry.path)
    }
  }

  async commit(entry: CatalogueEntry, signal: AbortSignal): Promise<void> {
    await this.#guard(entry, async () => {
      const file = this.#place.resolve(entry.path)
      const fd = this.#staging.fd(entry.path)
      if (entry.attributes.has("sparse")) fs.ftruncateSync(fd, entry.size)
      this.#dress(fd, entry)
      const staged = this.#staging.release(entry.path)
      if (this.#place.shared) {
        // Unlike rename, link never replaces what has the name.
        fs.linkSync(native(staged), native(file))
        fs.unlinkSync(native(staged))
      } else fs.renameSync(native(staged), native(file))
      await this.#later(entry, file, signal)
    })
  }

  async discard(entry: CatalogueEntry): Promise<void> {
    if (this.#staging.holds(entry.path)) fs.unlinkSync(native(this.#staging.release(entry.path)))
  }

  /** Owner before mode, since a change of owner takes set-id bits away. */
  #dress(fd: number, entry: CatalogueEntry): void {
    if (this.#options.owner === true) fs.fchownSync(fd, entry.uid, entry.gid)
    if (extras(entry, "") !== null) this.#late.push(entry)
    else fs.fchmodSync(fd, this.#mode(entry))
  }

  #mode(entry: CatalogueEntry): number {
    if ((entry.mode & 0o6000) === 0 || this.#options.setId === true) return entry.mode
    // On a directory, set-group-id only hands the group on.
    this.#problem(entry, "its set-id bits were not restored: they were not asked for", true)
    return entry.mode & 0o1777
  }

  async #later(entry: CatalogueEntry, file: string, signal: AbortSignal): Promise<void> {
    this.#times.push({ path: file, time: nanotime(entry.mtime) })
    if (this.#times.length >= TIMES_AT_ONCE) await this.#setTimes(signal)
  }

  async #setTimes(signal: AbortSignal): Promise<void> {
    const items = this.#times
    this.#times = []
    for (const i of await setTimes(items, signal)) {
      const path = (items[i]?.path ?? "").slice(this.#place.root.length + 1)
      this.#problems.push({ path: path === "" ? "." : path, why: "its time could not be set", expected: false })
    }
  }

  #problem(entry: CatalogueEntry, why: string, expected: boolean): void {
    this.#problems.push({ path: entry.path, why, expected })
  }

  async #guard(entry: CatalogueEntry, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      throw translated(error, entry.path)
    }
  }

  async make(entry: CatalogueEntry, signal: AbortSignal): Promise<void> {
    await this.#guard(entry, async () => {
      const file = this.#place.resolve(entry.path)
      switch (entry.type) {
        case "d":
          this.#makeDirectory(entry, file)
          return
        case "l":
          await this.#makeLink(entry, file, signal)
          return
        case "h":
          await this.#flushSpecials(signal)
          this.#makeHardLink(entry, file)
          return
        case "p":
        case "b":
        case "c":
          this.#makeSpecial(entry, file)
          return
        case "s":
          this.#problem(entry, "a socket is not restored: the program that listens makes it", true)
          return
        case "u":
        case "f":
          this.#problem(entry, "it is not in the backup", false)
      }
    })
  }

  #makeDirectory(entry: CatalogueEntry, file: string): void {
    const there = entry.path === "." || (this.#place.shared && this.#place.stat(entry.path)?.isDirectory() === true)
    if (!there) fs.mkdirSync(native(file), { mode: 0o700 })
    this.#place.made(entry.path)
    this.#directories.push(entry)
  }

  async #makeLink(entry: CatalogueEntry, file: string, signal: AbortSignal): Promise<void> {
    const target = entry.link ?? ""
    const there = this.#place.shared ? this.#place.stat(entry.path) : null
    const same = there?.isSymbolicLink() === true && fs.readlinkSync(native(file), "latin1") === target
    if (!same) fs.symlinkSync(native(target), native(file))
    if (this.#options.owner === true) fs.lchownSync(native(file), entry.uid, entry.gid)
    await this.#later(entry, file, signal)
  }

  #makeHardLink(entry: CatalogueEntry, file: string): void {
    const first = this.#place.resolve(entry.link ?? "")
    const original = this.#place.stat(entry.link ?? "")
    if (original === null) {
      this.#problem(entry, `${shown(entry.link ?? "")}, which it is another name of, was not restored`, false)
      return
    }
    if (original.isDirectory()) throw new BackupError("refused", `${shown(entry.path)}: links to a directory`)
    const there = this.#place.shared ? this.#place.stat(entry.path) : null
    if (there?.ino === original.ino && there.dev === original.dev) return
    fs.linkSync(native(first), native(file))
  }

  #makeSpecial(entry: CatalogueEntry, file: string): void {
    const numbers = /^([0-9]+),([0-9]+)$/.exec(entry.attributes.get("device") ?? "")
    if (entry.type !== "p" && this.#options.devices !== true) {
      this.#problem(entry, "a device is not restored: it was not asked for", true)
      return
    }
    if (entry.type !== "p" && numbers === null) {
      this.#problem(entry, "the catalogue does not say which device it is", false)
      return
    }
    const there = this.#place.shared ? this.#place.stat(entry.path) : null
    const same = { p: there?.isFIFO(), b: there?.isBlockDevice(), c: there?.isCharacterDevice() }
    const wanted =
      entry.type === "p"
        ? `mkfifo -m 600 -- ${quoted(file)}`
        : `mknod -m 600 -- ${quoted(file)} ${entry.type} ${numbers?.[1] ?? ""} ${numbers?.[2] ?? ""}`
    const is = entry.type === "p" || entry.type === "b" || entry.type === "c" ? same[entry.type] : false
    this.#specials.push({ entry, command: is === true ? "true" : `${wanted} 2>/dev/null` })
  }

  async #flushSpecials(signal: AbortSignal): Promise<void> {
    const specials = this.#specials
    this.#specials = []
    const failed = await runCommands(
      specials.map((s) => s.command),
      signal,
    )
    for (const [i, { entry }] of specials.entries()) {
      if (failed.has(i)) {
        this.#problem(entry, "could not be made: this takes root's rights", false)
        continue
      }
      const file = this.#place.resolve(entry.path)
      if (this.#options.owner === true) fs.lchownSync(native(file), entry.uid, entry.gid)
      fs.chmodSync(native(file), this.#mode(entry))
      await this.#later(entry, file, signal)
    }
  }

  /** Dumps lie here as files: whoever loads them finds the SQL beside them. */
  async erase({ number, sql }: SqlErasure): Promise<"written"> {
    const name = erasureFile(number)
    const file = native(`${this.#place.root}/${name}`)
    try {
      fs.writeFileSync(file, sql, { mode: 0o600, flag: "wx" })
    } catch (error) {
      // An interrupted restore may have come this far.
      const there = this.#place.stat(name)
      if (there?.isFile() === true && fs.readFileSync(file).equals(sql)) return "written"
      throw translated(error, name)
    }
    return "written"
  }

  /**
   * Children before parents, since a directory may lose our own right to look into it; and a directory gets its owner
   * only when what is below it is done, since an owner may put other things there.
   */
  async finish(signal: AbortSignal): Promise<readonly TargetProblem[]> {
    const { root } = this.#place
    const top: CatalogueEntry | undefined = this.#directories[0]
    await this.#guard(top ?? NOTHING, async () => {
      await this.#flushSpecials(signal)
      this.#staging.closeAll()
      fs.rmSync(native(`${root}/${this.#place.reserved}`), { recursive: true })
      const deepest = this.#directories.toReversed()
      const all = [...this.#late, ...deepest]
      const wanted = all.map((e) => extras(e, this.#place.resolve(e.path))).filter((e) => e !== null)
      for (const why of await setExtras(wanted, signal)) this.#problems.push({ path: ".", why, expected: false })
      for (const entry of deepest) await this.#later(entry, this.#place.resolve(entry.path), signal)
      await this.#setTimes(signal)
      for (const entry of all) {
        const file = native(this.#place.resolve(entry.path))
        if (this.#options.owner === true && entry.type === "d") fs.lchownSync(file, entry.uid, entry.gid)
        fs.chmodSync(file, this.#mode(entry))
      }
    })
    return this.#problems
  }
}

const NOTHING = { path: "." } as CatalogueEntry

/** Extended attributes and access lists of an entry; `null` if it has neither. */
function extras(entry: CatalogueEntry, path: string): Extras | null {
  if (entry.attributes.size === 0) return null
  const xattrs = new Map<string, string>()
  for (const [name, value] of entry.attributes) if (name.startsWith("xattr.")) xattrs.set(name.slice(6), value)
  const given = (entry.attributes.get("acl.default") ?? "").split("\n").filter(Boolean)
  // setfacl takes no default list without an access list; where that one says no more than the mode, it is the mode.
  const own = entry.attributes.get("acl") ?? (given.length > 0 ? modeAcl(entry.mode) : "")
  const acl = [own.trimEnd(), ...given.map((l) => (l.startsWith("default:") ? l : `default:${l}`))].join("\n").trim()
  return xattrs.size === 0 && acl === "" ? null : { path, xattrs, acl: acl === "" ? null : acl }
}

function modeAcl(mode: number): string {
  const rights = (shift: number): string =>
    ["r", "w", "x"].map((letter, i) => (((mode >> shift) & (4 >> i)) === 0 ? "-" : letter)).join("")
  return `user::${rights(6)}\ngroup::${rights(3)}\nother::${rights(0)}\n`
}

/** Empties the staging folder of an interrupted restore, if it is a directory of our own. */
function emptyOwn(folder: string): void {
  const stat = fs.lstatSync(native(folder))
  if (!stat.isDirectory() || (stat.mode & 0o777) !== 0o700)
    throw new BackupError("refused", `${shown(folder)}: is not a staging folder that a restore left`)
  for (const name of fs.readdirSync(native(folder), "latin1")) fs.unlinkSync(native(`${folder}/${name}`))
}
