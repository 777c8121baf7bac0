// The runs that drills have proved: statements in `drills/` that an operator signed. Only what says so counts; a statement
// that is damaged or signed by nobody who may is passed over, since it merely gives no preference.

import { BackupError, FORMAT, type Policy, patterns } from "@backup-cloud/format"
import type { ArchiveReader, ObjectInfo } from "@backup-cloud/store"
import { readObject, type Trust } from "@backup-cloud/trust"
import * as v from "valibot"
import { provedKey } from "./plan.ts"

/** What this needs of a drill's statement, which says more. */
const statement = v.looseObject({
  format: v.literal(FORMAT),
  type: v.literal("drill"),
  archive: v.string(),
  operator: v.pipe(v.string(), v.regex(patterns.fingerprint)),
  source: v.pipe(v.string(), v.regex(patterns.name)),
  run: v.pipe(v.string(), v.regex(patterns.run)),
  sums: v.pipe(v.string(), v.regex(patterns.digest)),
  outcome: v.string(),
})

/** As `planExpiry` wants them. Throws as the store does. */
export async function provedRuns(trust: Trust, reader: ArchiveReader, signal: AbortSignal): Promise<Set<string>> {
  const found = new Set<string>()
  for await (const info of reader.list("drills/", signal)) {
    if (!info.name.endsWith(".json.sig")) continue
    const key = await provedBy(trust, reader, info, signal)
    if (key !== null) found.add(key)
  }
  return found
}

async function provedBy(
  trust: Trust,
  reader: ArchiveReader,
  signed: ObjectInfo,
  signal: AbortSignal,
): Promise<string | null> {
  const name = signed.name.slice(0, -".sig".length)
  const bytes = await readObject(reader, name, signal)
  const signature = await readObject(reader, signed.name, signal)
  if (bytes === null || signature === null) return null
  let said: v.InferOutput<typeof statement>
  try {
    said = v.parse(statement, JSON.parse(Buffer.from(bytes).toString("utf8")))
  } catch {
    return null
  }
  if (said.archive !== trust.archive.archive || said.outcome !== "passed") return null
  const certificate = operatorCertificate(trust, said.operator, signed.arrived)
  if (certificate === null) return null
  try {
    await trust.verifier.detached(bytes, signature, certificate, signed.name, signal, { expiredKey: true })
  } catch (error) {
    if (!(error instanceof BackupError) || error.fault === "unavailable") throw error
    return null
  }
  return provedKey(said)
}

/** Of an operator, or of one who retired after the signature had arrived. */
function operatorCertificate({ policy, certificates }: Trust, fingerprint: string, arrived: Date) {
  const counts = ({ status, since }: Policy["operators"][number]): boolean =>
    status === "present" || arrived.getTime() < Date.parse(since)
  const entry = policy.operators.find((each) => each.fingerprint === fingerprint && counts(each))
  return entry === undefined ? null : (certificates.get(entry.sha256) ?? null)
}
