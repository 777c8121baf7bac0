// The folder that a drill restores into: this user's alone, gone when the drill ends, however it ends. What is in it is the
// data itself, so what a killed drill left is removed by the next one, once its process has ended.
//
// Not promised: that bytes on a disk are gone with their names. Let the folder be in memory or on an encrypted disk.

import { chmod, lstat, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { userInfo } from "node:os"
import { join } from "node:path"
import { BackupError, lifeOf, processMark, toByteString } from "@backup-cloud/format"
import { lookAt, native } from "./tree.ts"

const PREFIX = "backup-cloud-drill-"
const NAME = /^backup-cloud-drill-[A-Za-z0-9]{6}$/
const OWNER = "process"

export interface Scratch extends AsyncDisposable {
  /** Absolute. */
  readonly folder: string
}

/** Throws `unavailable` if none can be made in `parent`. */
export async function openScratch(parent: string): Promise<Scratch> {
  await removeLeft(parent)
  const folder = await mkdtemp(join(parent, PREFIX)).catch((cause: unknown) => {
    throw new BackupError("unavailable", `${parent}: no folder can be made there; nothing was restored`, {
      cause,
      hint: "name a folder with room for the data: --scratch DIR",
    })
  })
  const mark = await processMark()
  if (mark !== null) await writeFile(join(folder, OWNER), mark, { mode: 0o600 })
  return {
    folder,
    [Symbol.asyncDispose]: () => removeTree(folder),
  }
}

/** What earlier drills of this user left whose process has ended. */
async function removeLeft(parent: string): Promise<void> {
  const found = await readdir(parent).catch(() => [])
  for (const name of found.filter((each) => NAME.test(each))) {
    const folder = join(parent, name)
    try {
      const mine = (await lstat(folder)).uid === userInfo().uid
      if (!mine || (await lifeOf(await readFile(join(folder, OWNER), "latin1"))) !== "ended") continue
    } catch {
      continue
    }
    await removeTree(folder)
  }
}

/** Removes a folder with all that is in it, also folders that their owner may not write in. */
export async function removeTree(folder: string): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true })
  } catch {
    await openFolders(toByteString(folder))
    await rm(folder, { recursive: true, force: true })
  }
}

async function openFolders(folder: string): Promise<void> {
  await chmod(native(folder), 0o700)
  for (const name of await readdir(native(folder), { encoding: "buffer" })) {
    const path = `${folder}/${name.toString("latin1")}`
    if ((await lookAt(path)).type === "d") await openFolders(path)
  }
}
