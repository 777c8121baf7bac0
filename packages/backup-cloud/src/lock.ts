// A lock that one process of this machine holds: a file that says which. It is never waited for, and never outlives its
// process for long: whoever comes next and finds that the process has ended takes it over.
//
// Not promised: that no two processes ever hold it. One in another container cannot be judged and so does not count, and
// of three that find a stale lock in the same instant two could go on. So it is for what is only wasteful to do twice.

import { randomUUID } from "node:crypto"
import { link, readFile, rename, unlink, writeFile } from "node:fs/promises"
import { BackupError, lifeOf, processMark, timeText } from "@backup-cloud/format"

/**
 * Takes the lock `file`, whose folder exists; disposing gives it back. Throws `conflict` if a process that runs holds it,
 * `unavailable` if it can't be written.
 * @param what is done under the lock, for the message: `a backup of docs`
 */
export async function takeLock(file: string, what: string, now: Date): Promise<AsyncDisposable> {
  const text = `${(await processMark()) ?? ""}\n${timeText(now)}\n`
  try {
    await take(file, text, what)
  } catch (cause) {
    if (cause instanceof BackupError) throw cause
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
    throw new BackupError("unavailable", `${file}: the lock cannot be made (${code}); nothing was backed up`, { cause })
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await contentOf(file)) === text) await succeeds(unlink(file), "ENOENT")
    },
  }
}

async function take(file: string, text: string, what: string): Promise<void> {
  const own = `${file}.${randomUUID()}`
  try {
    await writeFile(own, text, { flag: "wx", mode: 0o600 })
    // Whole or not at all, so that no lock is seen that does not say yet whose it is.
    while (!(await succeeds(link(own, file), "EEXIST"))) {
      const held = await contentOf(file)
      if (held !== null) await takeAway(file, held, what)
    }
  } finally {
    await succeeds(unlink(own), "ENOENT")
  }
}

/** Removes the lock if the process that left `held` in it has ended; throws `conflict` if it has not. */
async function takeAway(file: string, held: string, what: string): Promise<void> {
  const [mark = "", since = ""] = held.split("\n")
  if ((await lifeOf(mark)) === "running") {
    const pid = Number.parseInt(mark, 10)
    throw new BackupError("conflict", `${what} is running since ${since} as process ${pid}; nothing was backed up`, {
      hint: `wait until it has ended, or stop it: kill ${pid}`,
    })
  }
  const away = `${file}.${randomUUID()}`
  if (!(await succeeds(rename(file, away), "ENOENT"))) return
  // Somebody else may have taken it over since it was read: then it is theirs, and put back.
  if ((await contentOf(away)) !== held) await succeeds(link(away, file), "EEXIST")
  await unlink(away)
}

async function contentOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8")
  } catch (error) {
    if (isCode(error, "ENOENT")) return null
    throw error
  }
}

/** Whether it was done; `false` if it failed with this code. */
async function succeeds(work: Promise<void>, code: string): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (isCode(error, code)) return false
    throw error
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code
}
