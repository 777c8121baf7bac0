// Files that a person names: certificates and what else a command reads or writes.

import { writeFile } from "node:fs/promises"
import { basename } from "node:path"
import { BackupError, expectName } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import { readNamed } from "backup-cloud/parts/named"
import type { Session } from "./session.ts"

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
