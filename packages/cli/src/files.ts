// Certificates and secrets on this machine.

import { access, mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { BackupError, expectName } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import { takeLock } from "./lock.ts"
import type { Session } from "./session.ts"

/** Reads a file a person named. Throws `not-found` or `usage`, naming it. */
export async function readNamed(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    const absent = cause instanceof Error && "code" in cause && cause.code === "ENOENT"
    throw new BackupError(
      absent ? "not-found" : "usage",
      `${file} ${absent ? "is not there" : "cannot be read"}; nothing was done`,
      {
        cause,
      },
    )
  }
}

/** Throws `conflict` if `file` is there: asked before work whose result would have no place. */
export async function expectAbsent(file: string): Promise<void> {
  try {
    await access(file)
  } catch {
    return
  }
  throw new BackupError("conflict", `${file} is there already; nothing was done`)
}

/** Writes a file a person named. Throws `conflict` if it is there already, `usage` if it cannot be made. */
export async function writeNamed(file: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  try {
    await writeFile(file, bytes, { flag: "wx", mode })
  } catch (cause) {
    const present = cause instanceof Error && "code" in cause && cause.code === "EEXIST"
    throw new BackupError(
      present ? "conflict" : "usage",
      `${file} ${present ? "is there already" : "cannot be made"}`,
      {
        cause,
      },
    )
  }
}

export async function readCertificate(session: Session, file: string): Promise<CertificateInfo> {
  return await (await session.verifier()).certificate(await readNamed(file), file, session.io.signal)
}

/** The name somebody is enrolled by: as given, or the file's, as far as it is one. */
export function enrolledName(file: string, given: unknown): string {
  if (typeof given === "string") return expectName("name", given)
  const stem = basename(file).replace(/\.(asc|gpg|pgp|pub)$/, "")
  return expectName(
    "name",
    stem
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 63),
  )
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

function folder(session: Session, name: string): string {
  return join(session.config.home, "sources", name)
}

/** Holds the source against a second backup of it on this machine. Throws `conflict` if one is running. */
export async function lockSource(session: Session, name: string): Promise<AsyncDisposable> {
  return await takeLock(join(folder(session, name), "running"), `a backup of ${name}`, session.io.now())
}

/** Writes a source's new secrets; throws `conflict` rather than overwrite any. */
export async function writeSecrets(session: Session, name: string, secrets: SourceSecrets): Promise<void> {
  const home = folder(session, name)
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
export async function writeNextKey(session: Session, name: string, key: Uint8Array): Promise<void> {
  await writeFile(join(folder(session, name), NEXT_KEY), key, { mode: 0o600 })
}

/** A source's next signing key; `null` if there is none. */
export async function readNextKey(session: Session, name: string): Promise<Uint8Array | null> {
  return await readFile(join(folder(session, name), NEXT_KEY)).catch(nullIfAbsent)
}

/** Puts the next signing key in the place of the present one. */
export async function takeNextKey(session: Session, name: string): Promise<void> {
  await rename(join(folder(session, name), NEXT_KEY), join(folder(session, name), KEY))
}

/** The secrets of a source; `null` if they are not on this machine. */
export async function readSecrets(session: Session, name: string): Promise<SourceSecrets | null> {
  const home = folder(session, name)
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
export async function readExtent(session: Session, name: string): Promise<Extent | null> {
  const text = await readFile(join(folder(session, name), EXTENT), "utf8").catch(() => "")
  const [, entries, bytes] = /^([0-9]{1,15}) ([0-9]{1,15})\n$/.exec(text) ?? []
  return entries === undefined ? null : { entries: Number(entries), bytes: Number(bytes) }
}

export async function writeExtent(session: Session, name: string, { entries, bytes }: Extent): Promise<void> {
  const file = join(folder(session, name), EXTENT)
  await writeFile(file, `${entries} ${bytes}\n`, { mode: 0o600 }).catch(() => undefined)
}

function nullIfAbsent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
  throw error
}

/** `recover.sh` or `RECOVER.txt`, as archives get them. */
export async function recoveryFile(name: string): Promise<Uint8Array> {
  return await readFile(fileURLToPath(import.meta.resolve(`@backup-cloud/recovery/${name}`)))
}
