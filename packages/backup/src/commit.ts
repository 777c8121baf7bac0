// The end of a run or checkpoint, in the order that makes it one: root, receipt, sums, signature. Before the signature is
// there, nothing is; after it, everything it names is.

import { createHash } from "node:crypto"
import { encodeSums, names, type ObjectRecord, objectLine, type Receipt, receiptCodec } from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import type { ArchiveWriter } from "@backup-cloud/store"

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Digests of the number before, which the next one must name. */
export interface Committed {
  readonly number: number
  readonly sums: string
  readonly signature: string
}

export interface CommitDeps {
  readonly writer: ArchiveWriter
  readonly signer: Signer
  readonly signal: AbortSignal
}

/** Stores receipt, sums and signature. `receipt.objects` is made from `objects`. */
export async function commit(
  deps: CommitDeps,
  receipt: Omit<Receipt, "objects">,
  objects: readonly ObjectRecord[],
  before: Committed | null,
): Promise<Committed> {
  const { number } = receipt
  const folder = names.runDirectory(receipt.source, receipt.run)
  const put = async (name: string, bytes: Uint8Array): Promise<string> => {
    const digest = sha256(bytes)
    await deps.writer.create(folder + name, [bytes], digest, deps.signal)
    return digest
  }
  const lines = objects.map(objectLine).sort()
  const sums = new Map(objects.map((object) => [object.name, object.sha256]))
  sums.set(names.receipt(number), await put(names.receipt(number), receiptCodec.encode({ ...receipt, objects: lines })))
  if (before !== null) {
    sums.set(names.sums(before.number), before.sums)
    sums.set(names.signature(before.number), before.signature)
  }
  const text = encodeSums(sums)
  const sumsDigest = await put(names.sums(number), text)
  const signature = await put(names.signature(number), await deps.signer.detached(text, deps.signal))
  return { number, sums: sumsDigest, signature }
}
