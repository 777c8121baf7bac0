// From release files to a run whose contents can be read.

import { BackupError, type CatalogueEntry, isFault, type Root } from "@backup-cloud/format"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import {
  allEntries,
  catalogueEntries,
  erasingFor,
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
import type { Machine } from "./machine.ts"
import { readNamed } from "./named.ts"
import type { ChosenRun } from "./run-name.ts"

export interface OpenRun extends ChosenRun {
  readonly view: RunReader
  readonly root: Root
  /** The catalogue's entries; may be read again. When salvaging, those that can be had. */
  entries(): AsyncIterable<CatalogueEntry>
  /** As `entries`, with those that must not come back: to tell where they lie. */
  everything(): AsyncIterable<CatalogueEntry>
  /** When salvaging: what of the catalogue could not be had, a sentence each. */
  readonly holes: ReadonlySet<string>
}

export interface Releases {
  /** Files that hold what key holders answered. */
  readonly files: readonly string[]
  /** Fingerprint of the operator's key; the one that is in the keyring unless given. */
  readonly key?: unknown
  readonly salvage?: boolean
  /** Bring back what was erased too; the releases must say so. */
  readonly withoutErasures?: boolean
}

/** Opens a run with releases. Throws as `openRelease` and `erasingFor`, and if none of them opens the catalogue. */
export async function openReleased(machine: Machine, chosen: ChosenRun, releases: Releases): Promise<OpenRun> {
  const { trust, run, all } = chosen
  const { signal } = machine.surroundings
  const { salvage = false, withoutErasures: without = false } = releases
  const opened = await openReleases(machine, trust, run, releases)
  const erasing = await erasingFor({
    sealed: await machine.erasures(trust),
    archive: trust.archive.archive,
    opener: gpgPrivateOpener(machine.person()),
    releases: opened.map(({ release }) => release),
    ...{ run, without, signal },
  })
  const view: RunReader = {
    reader: await machine.store(),
    opener: gpgPassphraseOpener(await machine.gpgHome()),
    secrets: mergedSecrets(opened.map(({ secrets }) => secrets)),
    erasing,
    run,
    runs: usedRuns(run, all.runs, salvage),
  }
  const root = await openRoot(view, signal)
  const holes = new Set<string>()
  const onHole = (error: BackupError): void => {
    holes.add(error.message)
  }
  const entries = () => (salvage ? salvagedEntries(view, root, onHole, signal) : catalogueEntries(view, root, signal))
  const everything = () => allEntries(view, root, signal)
  return { ...chosen, view, root, entries, everything, holes }
}

/** What each of the release files says of `run` and opens, with this operator's key. Throws as `openRelease`. */
export async function openReleases(
  machine: Machine,
  trust: Trust,
  run: Released,
  releases: Pick<Releases, "files" | "key">,
): Promise<OpenedRelease[]> {
  const { signal, now } = machine.surroundings
  const operator = await machine.operatorKey(trust, releases.key)
  const opener = gpgPrivateOpener(machine.person())
  const verifier = await machine.verifier()
  const opened: OpenedRelease[] = []
  for (const file of releases.files) {
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
      opened.push(await openRelease(input))
    } catch (error) {
      if (!isFault(error, "tampered")) throw error
      throw new BackupError("tampered", `${error.message}; nothing was opened`, {
        cause: error,
        hint: "give what a key holder answered (keyholder approve --out), and not the request itself",
      })
    }
  }
  return opened
}
