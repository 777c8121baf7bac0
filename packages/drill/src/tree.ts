// What lies in a folder, in the order of a catalogue. Nothing is changed but the rights of what its owner may not read, and
// those only while it is read.

import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import { statFields } from "@backup-cloud/format"

/** A path for `node:fs`. @param path byte string */
export const native = (path: string): Buffer => Buffer.from(path, "latin1")

/** Byte string of what has `path` below `root`, a byte string too. */
export const within = (root: string, path: string): string => (path === "." ? root : `${root}/${path}`)

export type Stats = Awaited<ReturnType<typeof lookAt>>

/** What the file system says of one name, links not followed. */
export async function lookAt(file: string) {
  const stats = await fs.lstat(native(file), { bigint: true })
  return { ...statFields(stats), type: typeOf(stats), device: `${stats.dev}:${stats.ino}` }
}

function typeOf(stats: { [K in (typeof types)[number][1]]: () => boolean }): string {
  return types.find(([, is]) => stats[is]())?.[0] ?? "u"
}
const types = [
  ["f", "isFile"],
  ["d", "isDirectory"],
  ["l", "isSymbolicLink"],
  ["p", "isFIFO"],
  ["s", "isSocket"],
  ["b", "isBlockDevice"],
  ["c", "isCharacterDevice"],
] as const

/** Every path below `root`, and `.` first, as catalogue entries are sorted. */
export async function* walk(root: string): AsyncGenerator<string, void, undefined> {
  yield "."
  yield* below(root, ".")
}

/** What is below a folder, whose owner may look into it as long as this lasts. */
async function* below(root: string, folder: string): AsyncGenerator<string, void, undefined> {
  const where = within(root, folder)
  const { mode } = await lookAt(where)
  const closed = (mode & 0o500) !== 0o500
  if (closed) await fs.chmod(native(where), mode | 0o500)
  try {
    const found = await fs.readdir(native(where), { encoding: "buffer" })
    for (const name of found.map((each) => each.toString("latin1")).sort()) {
      const path = folder === "." ? name : `${folder}/${name}`
      yield path
      if ((await lookAt(within(root, path))).type === "d") yield* below(root, path)
    }
  } finally {
    if (closed) await fs.chmod(native(where), mode)
  }
}

/** SHA-256, hex, of a regular file as it lies there. */
export async function digestOf(file: string, signal: AbortSignal): Promise<string> {
  return await permitted(file, 0o400, async () => {
    await using handle = await fs.open(native(file), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
    const hash = createHash("sha256")
    const room = Buffer.allocUnsafeSlow(1 << 20)
    for (;;) {
      signal.throwIfAborted()
      const { bytesRead } = await handle.read(room, 0, room.length, null)
      if (bytesRead === 0) return hash.digest("hex")
      hash.update(room.subarray(0, bytesRead))
    }
  })
}

/** Does `work` with the rights that it needs of the owner's, if it cannot be done without. */
export async function permitted<T>(file: string, rights: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "EACCES") throw error
  }
  const { mode } = await lookAt(file)
  await fs.chmod(native(file), mode | rights)
  try {
    return await work()
  } finally {
    await fs.chmod(native(file), mode)
  }
}
