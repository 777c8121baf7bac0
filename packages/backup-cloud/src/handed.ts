// Files that scripts seal: sealed beside the original, and noted in this machine's home until the receipt of a run records
// them. Only what was noted here is ever recorded: a holder answers for the records.

import { createHash } from "node:crypto"
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { BackupError, escapeControl, type Handed } from "@backup-cloud/format"
import { checkSealed, leadingPkesks } from "@backup-cloud/openpgp"
import { gpgSealer } from "@backup-cloud/openpgp/seal"
import type { Trust } from "@backup-cloud/trust"
import type { Machine } from "./machine.ts"
import { makeWhole } from "./named.ts"

/** Bytes that key packets may take at the start of a file, far above what a thousand holders need. */
const MOST_HEAD = 1 << 20

export interface SealedFile extends Handed {
  /** The PKESK packets whose digest is `pkesk`. */
  readonly pkesks: Uint8Array
}

/** What is recorded of a sealed message. @param file the name to record */
export async function describeSealed(file: string, pieces: AsyncIterable<Uint8Array>): Promise<SealedFile> {
  const hash = createHash("sha256")
  let head: Uint8Array = new Uint8Array(0)
  for await (const piece of pieces) {
    hash.update(piece)
    if (head.length < MOST_HEAD) head = Buffer.concat([head, piece.subarray(0, MOST_HEAD - head.length)])
  }
  const pkesks = leadingPkesks(head, escapeControl(file))
  return { file, sha256: hash.digest("hex"), pkesk: createHash("sha256").update(pkesks).digest("hex"), pkesks }
}

/**
 * Seals `file` to all present holders as `file.gpg`, which appears whole or not at all, and notes it for the next run.
 * Throws `conflict` if that is there, `refused` where one holder alone may release nothing.
 */
export async function sealFile(machine: Machine, { policy, certificates }: Trust, file: string): Promise<SealedFile> {
  const { signal } = machine.surroundings
  const sealed = `${file}.gpg`
  if (policy.release !== "any") {
    throw new BackupError(
      "refused",
      `${escapeControl(file)} was not sealed: this archive is released by several holders`,
      {
        hint: "a file sealed to each of them would open for one alone; back it up as part of a source instead",
      },
    )
  }
  const holders = policy.holders.flatMap((holder) => {
    if (holder.status !== "present") return []
    const certificate = certificates.get(holder.sha256)
    if (certificate !== undefined) return [certificate]
    throw new BackupError("tampered", `the archive has no certificate of the holder ${holder.name}; nothing was sealed`)
  })
  await using input = await open(file, "r").catch((cause: unknown) => {
    throw new BackupError("not-found", `${escapeControl(file)} cannot be read; nothing was sealed`, { cause })
  })
  if (!(await input.stat()).isFile())
    throw new BackupError("usage", `${escapeControl(file)} is no regular file; nothing was sealed`, {
      hint: "of a directory make a file first, as tar does, or upload it",
    })
  return await makeWhole(sealed, machine.surroundings.random, async (output) => {
    const plain = input.createReadStream({ autoClose: false, highWaterMark: 1 << 20 })
    const to = { certificates: holders, passphrase: null }
    const sealedTo = await gpgSealer(await machine.gpgHome()).sealInto(output, plain, to, signal)
    const pieces = output.createReadStream({ autoClose: false, start: 0, highWaterMark: 1 << 20 })
    const found = await describeSealed(basename(sealed), checkSealed(pieces, sealedTo))
    await note(machine, found)
    return found
  })
}

const folderOf = (machine: Machine): string => join(machine.home, "handed")

async function note(machine: Machine, { file, sha256, pkesk }: Handed): Promise<void> {
  await mkdir(folderOf(machine), { recursive: true, mode: 0o700 })
  await writeFile(join(folderOf(machine), `${sha256}.json`), JSON.stringify({ file, sha256, pkesk }), { mode: 0o600 })
}

/** What no receipt records yet, sorted by digest. */
export async function notedFiles(machine: Machine): Promise<Handed[]> {
  const found = await readdir(folderOf(machine)).catch(() => [])
  const notes: Handed[] = []
  for (const name of found.filter((each) => /^[0-9a-f]{64}\.json$/.test(each)).sort()) {
    // One that is gone was recorded by a run that ended meanwhile; one that is broken was never finished.
    const text = await readFile(join(folderOf(machine), name), "utf8").catch(() => "")
    const note = text === "" ? null : noteOf(text)
    if (note !== null) notes.push(note)
  }
  return notes
}

function noteOf(text: string): Handed | null {
  try {
    const { file, sha256, pkesk } = JSON.parse(text) as Partial<Handed>
    return file === undefined || sha256 === undefined || pkesk === undefined ? null : { file, sha256, pkesk }
  } catch {
    return null
  }
}

/** To be called once a receipt records them. */
export async function forgetNoted(machine: Machine, files: readonly Handed[]): Promise<void> {
  for (const { sha256 } of files) await rm(join(folderOf(machine), `${sha256}.json`), { force: true })
}
