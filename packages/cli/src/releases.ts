// From release files on the command line to a run whose contents can be read.

import { BackupError, type CatalogueEntry, isFault, type Root } from "@backup-cloud/format"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import {
  catalogueEntries,
  mergedSecrets,
  type OpenedRelease,
  openRelease,
  openRoot,
  type Released,
  type RunReader,
  salvagedEntries,
  usedRuns,
} from "@backup-cloud/restore"
import type { Trust } from "@backup-cloud/trust"
import { readNamed } from "./files.ts"
import { listOf } from "./options.ts"
import { type ChosenRun, chooseRun } from "./run-name.ts"
import type { Session } from "./session.ts"

export interface OpenRun extends ChosenRun {
  readonly view: RunReader
  readonly root: Root
  /** The catalogue's entries; may be read again. When salvaging, those that can be had. */
  entries(): AsyncIterable<CatalogueEntry>
  /** When salvaging: what of the catalogue could not be had, a sentence each. */
  readonly holes: ReadonlySet<string>
}

/** Opens a run with releases. Throws as `openRelease`, and if none of them opens the catalogue. */
export async function openRun(
  session: Session,
  name: string,
  options: Readonly<Record<string, unknown>>,
  salvage = false,
): Promise<OpenRun> {
  const chosen = await chooseRun(session, name, { salvage })
  const { trust, run, all } = chosen
  const { signal } = session.io
  const releases = await openReleases(session, trust, run, options)
  const view: RunReader = {
    reader: await session.store(),
    opener: gpgPassphraseOpener(await session.gpgHome()),
    secrets: mergedSecrets(releases.map(({ secrets }) => secrets)),
    run,
    runs: usedRuns(run, all.runs, salvage),
  }
  const root = await openRoot(view, signal)
  const holes = new Set<string>()
  const onHole = (error: BackupError): void => {
    holes.add(error.message)
  }
  const entries = () => (salvage ? salvagedEntries(view, root, onHole, signal) : catalogueEntries(view, root, signal))
  return { ...chosen, view, root, entries, holes }
}

/** What each of the release files says of `run` and opens, with this operator's key. */
export async function openReleases(
  session: Session,
  trust: Trust,
  run: Released,
  options: Readonly<Record<string, unknown>>,
): Promise<OpenedRelease[]> {
  const { signal, now } = session.io
  const present = trust.policy.operators.filter((each) => each.status === "present").map((each) => each.fingerprint)
  const operator = await session.ownKey(present, options["key"], "operator")
  const opener = gpgPrivateOpener(session.person())
  const verifier = await session.verifier()
  const releases: OpenedRelease[] = []
  for (const file of listOf(options, "release")) {
    const input = {
      message: await readNamed(file),
      object: file,
      opener,
      verifier,
      trust,
      run,
      operator,
      now: now(),
      signal,
    }
    try {
      releases.push(await openRelease(input))
    } catch (error) {
      if (!isFault(error, "tampered")) throw error
      throw new BackupError("tampered", `${error.message}; nothing was opened`, {
        cause: error,
        hint: "give what a key holder answered (keyholder approve --out), and not the request itself",
      })
    }
  }
  return releases
}
