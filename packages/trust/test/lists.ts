// Expiry lists for tests, signed by whom a test chooses. Other packages' tests may use it too.

import { type ExpiredRun, type ExpiryList, expiryCodec, FORMAT, names } from "@backup-cloud/format"
import type { Signer } from "@backup-cloud/openpgp"
import { type Committed, digest, signal, type TestArchive } from "./archive.ts"

interface ListOptions {
  readonly number?: number
  /** Digest of the list before. */
  readonly previous?: string
  readonly signer?: Signer
  /** Changes the list before it is signed. */
  readonly edit?: (list: ExpiryList) => ExpiryList
  readonly unsigned?: boolean
}

/** Everything that `someObjects` makes, or `more` of it. */
export function goes(source: string, run: Committed, more: Partial<ExpiredRun> = {}): ExpiredRun {
  const whole = { key: true, roots: true, volumes: "1-2", catalogues: "1" }
  return { source, run: run.run, sums: run.sums, ...whole, ...more }
}

/** Puts a list into the archive; gives the digest of its file. Nothing is removed. */
export async function putList(
  archive: TestArchive,
  runs: readonly ExpiredRun[],
  options: ListOptions = {},
): Promise<string> {
  const { number = 1, previous = "", signer = archive.admin.signer } = options
  const { policy, archive: document } = await archive.load()
  const plain: ExpiryList = {
    ...{ format: FORMAT, type: "expiry", archive: document.archive, number, created: "2027-06-01T00:00:00Z", previous },
    ...{ policy: policy.number, runs: [...runs] },
  }
  const bytes = expiryCodec.encode(options.edit?.(plain) ?? plain)
  const name = names.expiry(number)
  await archive.store.create(name, [bytes], digest(bytes), signal)
  if (options.unsigned === true) return digest(bytes)
  const signature = await signer.detached(bytes, signal)
  await archive.store.create(`${name}.sig`, [signature], digest(signature), signal)
  return digest(bytes)
}
