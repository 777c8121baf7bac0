// The secrets of a source on this machine, and what is kept beside them: the folder `sources/<name>` of its home.

import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { BackupError } from "@backup-cloud/format"
import { takeLock } from "./lock.ts"

/** Whatever knows the home. */
export interface Home {
  /** Absolute. */
  readonly home: string
}

export interface SourceSecrets {
  /** 32 bytes. */
  readonly secret: Uint8Array
  /** Armoured private key that signs receipts. */
  readonly signingKey: Uint8Array
}

const KEY = "signing-key.asc"
const EXTENT = "extent"
const NEXT_KEY = "signing-key.next.asc"

function folder(machine: Home, name: string): string {
  return join(machine.home, "sources", name)
}

/** Holds the source against a second backup of it on this machine. Throws `conflict` if one is running. */
export async function lockSource(machine: Home, name: string, now: Date): Promise<AsyncDisposable> {
  return await takeLock(join(folder(machine, name), "running"), `a backup of ${name}`, now)
}

/** Writes a source's new secrets; throws `conflict` rather than overwrite any. */
export async function writeSecrets(machine: Home, name: string, secrets: SourceSecrets): Promise<void> {
  const home = folder(machine, name)
  await mkdir(home, { recursive: true, mode: 0o700 })
  const put = async (file: string, bytes: Uint8Array): Promise<void> => {
    try {
      await writeFile(join(home, file), bytes, { flag: "wx", mode: 0o600 })
    } catch (cause) {
      throw new BackupError(
        "conflict",
        `${join(home, file)} could not be made; the source has keys on this machine already?`,
        { cause },
      )
    }
  }
  await put("secret", Buffer.from(`${Buffer.from(secrets.secret).toString("hex")}\n`))
  await put(KEY, secrets.signingKey)
}

/** Keeps a source's next signing key beside the present one, which goes on until the policy has the next. */
export async function writeNextKey(machine: Home, name: string, key: Uint8Array): Promise<void> {
  await writeFile(join(folder(machine, name), NEXT_KEY), key, { mode: 0o600 })
}

/** A source's next signing key; `null` if there is none. */
export async function readNextKey(machine: Home, name: string): Promise<Uint8Array | null> {
  return await readFile(join(folder(machine, name), NEXT_KEY)).catch(nullIfAbsent)
}

/** Puts the next signing key in the place of the present one. */
export async function takeNextKey(machine: Home, name: string): Promise<void> {
  await rename(join(folder(machine, name), NEXT_KEY), join(folder(machine, name), KEY))
}

/** The secrets of a source; `null` if they are not on this machine. */
export async function readSecrets(machine: Home, name: string): Promise<SourceSecrets | null> {
  const home = folder(machine, name)
  try {
    const text = await readFile(join(home, "secret"), "utf8")
    const signingKey = await readFile(join(home, KEY))
    if (!/^[0-9a-f]{64}\n$/.test(text))
      throw new BackupError("tampered", `${join(home, "secret")} is not a source's secret`)
    return { secret: new Uint8Array(Buffer.from(text.trim(), "hex")), signingKey }
  } catch (error) {
    return nullIfAbsent(error)
  }
}

/** How much a source had when it was last backed up here. */
export interface Extent {
  readonly entries: number
  readonly bytes: number
}

/** `null` if it is not known. Only for telling how far a backup is, so that nothing that is wrong with it does harm. */
export async function readExtent(machine: Home, name: string): Promise<Extent | null> {
  const text = await readFile(join(folder(machine, name), EXTENT), "utf8").catch(() => "")
  const [, entries, bytes] = /^([0-9]{1,15}) ([0-9]{1,15})\n$/.exec(text) ?? []
  return entries === undefined ? null : { entries: Number(entries), bytes: Number(bytes) }
}

export async function writeExtent(machine: Home, name: string, { entries, bytes }: Extent): Promise<void> {
  const file = join(folder(machine, name), EXTENT)
  await writeFile(file, `${entries} ${bytes}\n`, { mode: 0o600 }).catch(() => undefined)
}

function nullIfAbsent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
  throw error
}
