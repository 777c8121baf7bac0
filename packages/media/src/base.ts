// What every disk carries besides runs: the configuration with its signatures, how to recover, and the signed lists of
// expiry, erasures and drills. Of what others may create, only what somebody signed whom the policy names gets onto a disk:
// otherwise whoever can write into the archive could fill it.

import { BackupError, isFault, names } from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import type { ArchiveReader } from "@backup-cloud/store"
import { type Problem, problemOf, readObject, type Trust } from "@backup-cloud/trust"
import { copyObject } from "./copy.ts"
import type { Disk } from "./identity.ts"

/** Configuration and recovery. Throws `not-found` if the archive lacks any of it. */
export async function copyBase(reader: ArchiveReader, disk: Disk, signal: AbortSignal): Promise<void> {
  for (const name of [names.archive, "RECOVER.txt", "recover.sh"])
    await copyObject(reader, disk, { name, signed: null }, signal)
  const listed: string[] = []
  for await (const { name } of reader.list("config/", signal)) listed.push(name)
  // A policy without its certificates or its signature would stop a reader: those go first, signatures last.
  const rank = (name: string): number => (name.endsWith(".asc") ? 0 : name.endsWith(".json") ? 1 : 2)
  for (const name of listed.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)))
    await copyObject(reader, disk, { name, signed: null }, signal)
}

const SERIES = [
  { prefix: "expiries/", pattern: /^expiries\/[0-9]{6}\.json$/, by: "administrator" },
  { prefix: "erasures/", pattern: /^erasures\/[0-9]{6}\.json\.gpg$/, by: "administrator" },
  { prefix: "drills/", pattern: /^drills\/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.json$/, by: "operators" },
] as const

/** The signed lists. What does not count is left out and told. */
export async function copySigned(
  trust: Trust,
  reader: ArchiveReader,
  disk: Disk,
  signal: AbortSignal,
): Promise<Problem[]> {
  const operators = trust.policy.operators.flatMap(({ sha256 }) => trust.certificates.get(sha256) ?? [])
  const problems: Problem[] = []
  for (const { prefix, pattern, by } of SERIES) {
    for await (const { name } of reader.list(prefix, signal)) {
      if (!pattern.test(name) || (await disk.store.stat(`${name}.sig`, signal)) !== null) continue
      try {
        await expectSigned(trust, reader, name, by === "administrator" ? [trust.administrator] : operators, signal)
        for (const each of [name, `${name}.sig`]) await copyObject(reader, disk, { name: each, signed: null }, signal)
      } catch (error) {
        if (!isFault(error, "tampered") && !isFault(error, "refused")) throw error
        problems.push(problemOf(error, name, "tampered"))
      }
    }
  }
  return problems
}

async function expectSigned(
  trust: Trust,
  reader: ArchiveReader,
  name: string,
  by: readonly CertificateInfo[],
  signal: AbortSignal,
): Promise<void> {
  const bytes = await readObject(reader, name, signal)
  const signature = await readObject(reader, `${name}.sig`, signal)
  if (bytes === null || signature === null) throw new BackupError("tampered", `${name}: has no signature`)
  let cause: unknown
  for (const certificate of by)
    try {
      await trust.verifier.detached(bytes, signature, certificate, name, signal, { expiredKey: true })
      return
    } catch (error) {
      if (isFault(error, "unavailable")) throw error
      cause = error
    }
  throw new BackupError("tampered", `${name}: is not signed by anybody who may; it was not copied`, { cause })
}

/** The highest number of a series on the disk; 0 for none. */
export async function highestOf(disk: Disk, prefix: "expiries/" | "erasures/", signal: AbortSignal): Promise<number> {
  let highest = 0
  for await (const { name } of disk.store.list(prefix, signal))
    highest = Math.max(highest, Number(/^[a-z]+\/([0-9]{6})\.json(?:\.gpg)?\.sig$/.exec(name)?.[1] ?? 0))
  return highest
}
