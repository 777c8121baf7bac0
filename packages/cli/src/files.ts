// Certificates and secrets on this machine.

import { mkdir, readFile, writeFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { BackupError, expectName } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import type { Session } from "./session.ts"

/** Reads a file a person named. Throws `not-found` or `usage`, naming it. */
export async function readNamed(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    const absent = cause instanceof Error && "code" in cause && cause.code === "ENOENT"
    throw new BackupError(absent ? "not-found" : "usage", `${file} ${absent ? "is not there" : "cannot be read"}`, {
      cause,
    })
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

function folder(session: Session, name: string): string {
  return join(session.config.home, "sources", name)
}

/** Writes a source's new secrets; throws `conflict` rather than overwrite any. */
export async function writeSecrets(
  session: Session,
  name: string,
  secrets: SourceSecrets,
  rekey: boolean,
): Promise<void> {
  const home = folder(session, name)
  await mkdir(home, { recursive: true, mode: 0o700 })
  const put = async (file: string, bytes: Uint8Array, flag: "wx" | "w"): Promise<void> => {
    try {
      await writeFile(join(home, file), bytes, { flag, mode: 0o600 })
    } catch (cause) {
      throw new BackupError(
        "conflict",
        `${join(home, file)} could not be made; the source has keys on this machine already?`,
        { cause },
      )
    }
  }
  if (!rekey) await put("secret", Buffer.from(`${Buffer.from(secrets.secret).toString("hex")}\n`), "wx")
  await put("signing-key.asc", secrets.signingKey, rekey ? "w" : "wx")
}

/** The secrets of a source; `null` if they are not on this machine. */
export async function readSecrets(session: Session, name: string): Promise<SourceSecrets | null> {
  const home = folder(session, name)
  try {
    const text = await readFile(join(home, "secret"), "utf8")
    const signingKey = await readFile(join(home, "signing-key.asc"))
    if (!/^[0-9a-f]{64}\n$/.test(text))
      throw new BackupError("tampered", `${join(home, "secret")} is not a source's secret`)
    return { secret: new Uint8Array(Buffer.from(text.trim(), "hex")), signingKey }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
    throw error
  }
}

/** `recover.sh` or `RECOVER.txt`, as archives get them. */
export async function recoveryFile(name: string): Promise<Uint8Array> {
  return await readFile(fileURLToPath(import.meta.resolve(`@backup-cloud/recovery/${name}`)))
}
