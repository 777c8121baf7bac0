// A verifier's way into a run, without a release: the run's key, and those of the earlier runs it uses, are sealed to the
// verifier as they are to the holders. Each is believed only if it says that it is the key of that very run.

import { BackupError, checkValue, decodeRunKey, derivedPassphrase, names } from "@backup-cloud/format"
import type { PrivateOpener } from "@backup-cloud/openpgp"
import { fetchObject, locateBase, type RunReader, type RunView, type Secrets } from "@backup-cloud/restore"

/** What every object of some runs opens with. */
interface Opening {
  readonly archive: string
  readonly reader: RunReader["reader"]
  readonly run: RunView
  /** By id: those that `run` uses. */
  readonly runs: ReadonlyMap<string, RunView>
  /** Of the verifier's own key. */
  readonly opener: PrivateOpener
  readonly signal: AbortSignal
}

/** Throws `refused` if a run is not sealed to the key that `opener` has, `incomplete` or `tampered` for a damaged one. */
export async function verifierSecrets(opening: Opening): Promise<Secrets> {
  const keys = new Map<string, string>()
  for (const run of [opening.run, ...opening.runs.values()]) keys.set(run.run, await keyOf(opening, run))
  return {
    passphraseFor(run, base) {
      const key = keys.get(run)
      return key === undefined ? null : derivedPassphrase(key, run, base)
    },
  }
}

async function keyOf({ archive, reader, opener, signal, ...view }: Opening, run: RunView): Promise<string> {
  const located = locateBase(view, run.run, names.key)
  const sealed = Buffer.alloc(located.record.length)
  await fetchObject(reader, located, sealed, null, signal)
  const text = decodeRunKey(await opener.open(sealed, located.name, signal), located.name)
  const right = text.archive === archive && text.source === run.source && text.run === run.run
  if (right && checkValue(text.key) === run.receipt.check) return text.key
  throw new BackupError("refused", `${located.name}: is the key of another run than its receipt says`)
}
