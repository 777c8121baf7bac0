// Judges one commit of a run: receipt, sums and signature of one number, from their bytes alone. So a key holder can do
// it offline with what a request carries, and `runs.ts` with what a store holds.

import {
  BackupError,
  decodeSums,
  names,
  type ObjectRecord,
  parseObjectLine,
  type Receipt,
  receiptCodec,
  type SourceKey,
} from "@backup-cloud/format"
import type { CertificateInfo } from "@backup-cloud/openpgp"
import { about, ObjectError } from "./problems.ts"
import { sha256 } from "./read.ts"
import type { Trust } from "./trust.ts"

export interface CommitBytes {
  readonly receipt: Uint8Array
  readonly sums: Uint8Array
  readonly signature: Uint8Array
}

/** A commit whose signature counts and whose parts agree. */
export interface Commit {
  readonly number: number
  readonly receipt: Receipt
  /** Digest of `SHA256SUMS-<number>`. */
  readonly sums: string
  /** Digest of its signature's file. */
  readonly signature: string
}

export interface CommitPlace {
  readonly source: string
  readonly run: string
  readonly number: number
}

/**
 * Throws `tampered`, naming the object, for anything that is not as the format has it, and `refused` for a key that
 * the newest policy ended before `arrived`.
 * @param before the commit numbered one lower; `null` for number 1
 * @param arrived when the store says that the signature arrived; `null` where that is not known, and then no key has ended
 */
export async function judgeCommit(
  trust: Trust,
  place: CommitPlace,
  bytes: CommitBytes,
  before: Commit | null,
  arrived: Date | null,
  signal: AbortSignal,
): Promise<Commit> {
  const { source, run, number } = place
  const directory = names.runDirectory(source, run)
  const sumsName = directory + names.sums(number)
  const receiptName = directory + names.receipt(number)
  const sums = about(sumsName, () => decodeSums(bytes.sums, sumsName))
  // The receipt says by which policy the signature is judged; until that is done nothing else of it is believed.
  if (sums.get(names.receipt(number)) !== sha256(bytes.receipt))
    throw tampered(receiptName, `is not the one that ${names.sums(number)} names`)
  const receipt = about(receiptName, () => receiptCodec.decode(bytes.receipt, receiptName))
  await checkSignature(trust, place, receipt, bytes, arrived, signal)

  const inside = [receipt.archive, receipt.source, receipt.run, receipt.number]
  if (JSON.stringify(inside) !== JSON.stringify([trust.archive.archive, source, run, number]))
    throw tampered(receiptName, "belongs to another archive, source, run or number than its place says")
  if (before !== null && receipt.policy < before.receipt.policy)
    throw tampered(receiptName, "names a lower policy than the receipt before it")
  checkSums(sums, sumsName, receipt, sha256(bytes.receipt), before)
  return { number, receipt, sums: sha256(bytes.sums), signature: sha256(bytes.signature) }
}

async function checkSignature(
  trust: Trust,
  { source, run, number }: CommitPlace,
  receipt: Receipt,
  bytes: CommitBytes,
  arrived: Date | null,
  signal: AbortSignal,
): Promise<void> {
  const object = names.runDirectory(source, run) + names.signature(number)
  const policy = trust.policies.get(receipt.policy)
  if (policy === undefined)
    throw tampered(object, `its receipt names policy ${receipt.policy}, which is not in force or before`)
  const listed = policy.sources.find((each) => each.name === source)?.keys ?? []
  const last = new Map(
    trust.policy.sources.find((each) => each.name === source)?.keys.map((key) => [key.fingerprint, key]),
  )
  let cause: unknown
  let endedKey: SourceKey | null = null
  for (const key of listed.toReversed()) {
    const certificate: CertificateInfo | undefined = trust.certificates.get(key.sha256)
    if (certificate === undefined) {
      const unread = trust.problems.find((each) => each.fault === "unavailable" && each.object.endsWith(`/${key.file}`))
      if (unread !== undefined)
        throw new ObjectError("unavailable", object, `cannot be judged: ${unread.object}: ${unread.why}`)
      continue
    }
    try {
      await trust.verifier.detached(bytes.sums, bytes.signature, certificate, object, signal, { expiredKey: true })
    } catch (error) {
      if (!(error instanceof BackupError) || error.fault === "unavailable") throw error
      cause ??= error
      continue
    }
    const now = last.get(key.fingerprint)
    if (now !== undefined && !hasEnded(now, arrived)) return
    endedKey = now ?? key
  }
  if (endedKey !== null)
    throw new ObjectError("refused", object, `arrived after the policy ended the key ${endedKey.fingerprint}`)
  throw new ObjectError(
    "tampered",
    object,
    `is no signature of ${names.sums(number)} by a key that policy ${receipt.policy} lists for ${source}`,
    { cause },
  )
}

function hasEnded(key: SourceKey, arrived: Date | null): boolean {
  return key.accept_until !== "" && arrived !== null && arrived.getTime() > Date.parse(key.accept_until)
}

function checkSums(
  sums: ReadonlyMap<string, string>,
  sumsName: string,
  receipt: Receipt,
  receiptDigest: string,
  before: Commit | null,
): void {
  const expected = new Map([[names.receipt(receipt.number), receiptDigest]])
  if (before !== null) {
    expected.set(names.sums(before.number), before.sums)
    expected.set(names.signature(before.number), before.signature)
  }
  for (const { name, sha256: digest } of receipt.objects.map(parseObjectLine)) expected.set(name, digest)
  for (const [name, digest] of expected)
    if (sums.get(name) !== digest) throw tampered(sumsName, `does not have the digest of ${name}`)
  if (sums.size !== expected.size) throw tampered(sumsName, "lists what its receipt does not")
}

/** The objects of all of a run's commits. Throws `tampered` if two of them list the same name. */
export function joinObjects(commits: readonly Commit[]): Map<string, ObjectRecord> {
  const objects = new Map<string, ObjectRecord>()
  for (const { receipt } of commits)
    for (const line of receipt.objects) {
      const record = parseObjectLine(line)
      if (objects.has(record.name)) {
        const object = names.runDirectory(receipt.source, receipt.run) + names.receipt(receipt.number)
        throw tampered(object, `lists ${record.name}, which an earlier receipt lists`)
      }
      objects.set(record.name, record)
    }
  return objects
}

function tampered(object: string, why: string): ObjectError {
  return new ObjectError("tampered", object, why)
}
