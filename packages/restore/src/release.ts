// The answer of a key holder, opened with the operator's key and checked before any secret of it is used: by whom, to
// whom, for what, until when. What comes out gives the passphrases it names and no others: a release for one run opens
// nothing of another.

import {
  BackupError,
  checkValue,
  derivedPassphrase,
  isFault,
  names,
  type Release,
  releaseCodec,
} from "@backup-cloud/format"
import type { CertificateInfo, PrivateOpener, Verifier } from "@backup-cloud/openpgp"
import type { Trust } from "@backup-cloud/trust"
import type { RunView, Secrets } from "./view.ts"

/** What a release is held against. */
export type Released = Pick<RunView, "source" | "run"> & {
  /** `check` is empty where there is no run key. */
  readonly receipt: Pick<RunView["receipt"], "check">
}

export interface ReleaseInput {
  readonly message: Uint8Array
  /** How to call it in messages, such as the name of its file. */
  readonly object: string
  readonly opener: PrivateOpener
  readonly verifier: Verifier
  readonly trust: Trust
  /** The run that is to be restored, or whose receipt records the file that is. */
  readonly run: Released
  /** The operator's fingerprint. */
  readonly operator: string
  readonly now: Date
  readonly signal: AbortSignal
}

export interface OpenedRelease {
  readonly release: Release
  readonly secrets: Secrets
}

/**
 * Throws `expired` after its time, `refused` if it is for another archive, run or operator, by nobody who is a present
 * holder, or does not open with the operator's key.
 */
export async function openRelease(input: ReleaseInput): Promise<OpenedRelease> {
  const { object, run, trust } = input
  const signed = await input.opener.unwrap(input.message, object, input.signal)
  const { bytes, holder } = await verifiedBy(input, signed)
  const release = releaseCodec.decode(bytes, object)
  const refuse = (why: string, hint: string): never => {
    throw new BackupError("refused", `${object}: ${why}`, { hint })
  }
  if (release.holder !== holder) refuse("names another holder than the one who signed it", "ask for a new release")
  if (release.archive !== trust.archive.archive) refuse("is for another archive", "check which archive is meant")
  if (release.operator !== input.operator)
    refuse(`is for the operator ${release.operator}, not ${input.operator}`, "only the operator who asked can use it")
  if (release.source !== run.source || release.run !== run.run)
    refuse(`is for ${release.source}@${release.run}, not ${run.source}@${run.run}`, "ask for a release of this run")
  if (Date.parse(release.expires) <= input.now.getTime())
    throw new BackupError("expired", `${object}: was good until ${release.expires}`, { hint: "ask for a new release" })
  return { release, secrets: secretsOf(release, run, object) }
}

async function verifiedBy(input: ReleaseInput, signed: Uint8Array): Promise<{ bytes: Uint8Array; holder: string }> {
  const { trust, verifier, object, signal } = input
  let cause: unknown
  for (const holder of trust.policy.holders) {
    const certificate: CertificateInfo | undefined = trust.certificates.get(holder.sha256)
    if (holder.status !== "present" || certificate === undefined) continue
    try {
      const bytes = await verifier.message(signed, certificate, object, signal)
      return { bytes, holder: holder.fingerprint }
    } catch (error) {
      if (!isFault(error, "refused") && !isFault(error, "tampered")) throw error
      cause ??= error
    }
  }
  throw new BackupError("refused", `${object}: no present key holder of the policy signed it`, { cause })
}

/** The secrets of a checked release. Throws `refused` if it gives a run key of another run, or a wrong one. */
function secretsOf(release: Release, run: Released, object: string): Secrets {
  const passphrases = new Map<string, string>()
  let key: string | null = null
  for (const line of release.secrets) {
    const [id = "", base = "", secret = ""] = line.split(" ")
    if (base !== names.key) {
      passphrases.set(`${id} ${base}`, secret)
      continue
    }
    if (id !== run.run)
      throw new BackupError("refused", `${object}: gives the key of run ${id}, which was not asked for`)
    if (checkValue(secret) !== run.receipt.check)
      throw new BackupError("refused", `${object}: gives a key that is not the one of run ${id}`, {
        hint: "the receipt's check value says so; ask the holder to release again",
      })
    key = secret
  }
  return {
    passphraseFor(id, base) {
      const single = passphrases.get(`${id} ${base}`)
      if (single !== undefined) return single
      return key !== null && id === run.run ? derivedPassphrase(key, id, base) : null
    },
  }
}

/** All that several releases open. */
export function mergedSecrets(all: readonly Secrets[]): Secrets {
  return {
    passphraseFor(run, base) {
      for (const secrets of all) {
        const passphrase = secrets.passphraseFor(run, base)
        if (passphrase !== null) return passphrase
      }
      return null
    },
  }
}
