// Recovery data for the runs on a disk, made and used by the program par2: any object that rots can be made again as long as
// no more of its run rotted than there is recovery data for. It lies below `parity/` of the disk, and nothing else needs it.
//
// A repair never touches the disk: par2 sees links to its files in a folder elsewhere, and puts what it repairs there.

import { spawn } from "node:child_process"
import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink } from "node:fs/promises"
import { join } from "node:path"
import { BackupError, isFault, isSealed, names } from "@backup-cloud/format"
import { diskFault } from "./disk-faults.ts"
import type { Disk } from "./identity.ts"
import { pageAligned, readBack } from "./read-back.ts"

/** Objects that par2 takes together: it knows no more than 32,768 blocks, and each file has one at least. */
const TOGETHER = 1_000
/** Blocks that the data is divided into: more find smaller damage, and take longer. */
const BLOCKS = 1_000
const LEAST_BLOCK = 4_096
/** MiB. */
const MEMORY = 64

interface Place {
  readonly source: string
  readonly run: string
}

/** Throws `unavailable`, with the command that installs it, if there is no par2. */
export async function expectPar2(signal: AbortSignal): Promise<void> {
  await par2(["-V"], signal)
}

/**
 * Makes recovery data for all sealed objects of a run that are on the disk. Done again for the same objects it does nothing.
 * @param mark what tells one state of the run from another: the number of its last receipt
 */
export async function makeParity(disk: Disk, { source, run }: Place, mark: number, signal: AbortSignal): Promise<void> {
  const folder = join(disk.path, names.runDirectory(source, run))
  const target = join(disk.path, "parity", source, `${run}-${mark}`)
  try {
    if (await stat(target).catch(() => null)) return
    const objects = (await readdir(folder)).filter(isSealed).sort()
    const work = join(disk.path, ".parity")
    await rm(work, { recursive: true, force: true })
    await mkdir(work)
    for (let at = 0; at < objects.length; at += TOGETHER) {
      const some = objects.slice(at, at + TOGETHER)
      let bytes = 0
      for (const each of some) bytes += (await stat(join(folder, each))).size
      const block = Math.max(LEAST_BLOCK, Math.ceil(bytes / BLOCKS / 4) * 4)
      const set = join(work, `objects-${at / TOGETHER + 1}.par2`)
      const options = [`-r${disk.identity.parity}`, "-n1", `-s${block}`, `-m${MEMORY}`, "-q", "-q"]
      await par2(["create", ...options, "-B", folder, set, ...some.map((each) => join(folder, each))], signal)
    }
    await mkdir(join(disk.path, "parity", source), { recursive: true })
    await rename(work, target)
  } catch (error) {
    throw diskFault(target, error)
  }
}

/** What is wanted of a run. */
export interface Damaged extends Place {
  /** By base name: length and SHA-256 that was signed. */
  readonly objects: ReadonlyMap<string, { readonly length: number; readonly sha256: string }>
}

/**
 * Makes damaged objects again, below `to` under their names in the archive; the base names of those that could be.
 * @param to a folder that is not on the disk
 */
export async function repair(disk: Disk, damaged: Damaged, to: string, signal: AbortSignal): Promise<string[]> {
  const { source, run, objects } = damaged
  const directory = names.runDirectory(source, run)
  await mkdir(join(to, directory), { recursive: true })
  const made: string[] = []
  const buffer = pageAligned()
  for (const folder of await parityOf(disk, damaged)) {
    const work = await mkdtemp(join(to, ".repair-"))
    try {
      for (const from of [join(disk.path, directory), folder])
        for (const base of await readdir(from)) await symlink(join(from, base), join(work, base))
      for (const set of (await readdir(folder)).filter((base) => /^objects-[0-9]+\.par2$/.test(base)))
        await par2(["repair", "-q", "-q", `-m${MEMORY}`, "-B", work, join(work, set)], signal).catch(
          (error: unknown) => {
            // Too much is damaged: what could not be made is not there below.
            if (!isFault(error, "incomplete")) throw error
          },
        )
      for (const [base, signed] of objects) {
        const file = join(work, base)
        if (made.includes(base) || !((await stat(file).catch(() => null))?.isFile() ?? false)) continue
        const found = await readBack(file, buffer, signal).catch(() => null)
        if (found?.sha256 !== signed.sha256 || found.length !== signed.length) continue
        await rename(file, join(to, directory, base))
        made.push(base)
      }
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  return made
}

/** Folders with recovery data of a run, the newest first. */
async function parityOf(disk: Disk, { source, run }: Place): Promise<string[]> {
  const folder = join(disk.path, "parity", source)
  const all = (await readdir(folder).catch(() => [])).filter((base) => base.startsWith(`${run}-`))
  return all
    .sort((a, b) => Number(b.slice(run.length + 1)) - Number(a.slice(run.length + 1)))
    .map((base) => join(folder, base))
}

/** Throws `incomplete` if par2 ended otherwise than well. */
async function par2(args: readonly string[], signal: AbortSignal): Promise<void> {
  const child = spawn("par2", args, { stdio: ["ignore", "ignore", "pipe"], signal })
  let said = ""
  child.stderr.on("data", (piece: Buffer) => {
    said = (said + piece.toString()).slice(-1_000)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", (cause) => {
      if ("code" in cause && cause.code === "ENOENT")
        reject(
          new BackupError("unavailable", "the program par2 is not here, and the disk asks for recovery data", {
            hint: "apt-get install par2",
            cause,
          }),
        )
      else reject(cause)
    })
    child.once("close", resolve)
  })
  if (code === 0) return
  throw new BackupError("incomplete", `par2 ended with ${code ?? "a signal"}: ${said.trim()}`)
}
