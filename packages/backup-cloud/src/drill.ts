// A drill on a machine: with releases, as an operator's restore, or with a verifier's own key; in a scratch place that is gone
// when it ends; its result signed, kept in the home, and put into the archive unless a medium was drilled.

import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import {
  type Drill,
  type DrillReport,
  drill,
  newestStart,
  openScratch,
  publishResult,
  randomRun,
  type SignedResult,
  signResult,
  verifierSecrets,
} from "@backup-cloud/drill"
import { BackupError, identityCodec, MEDIUM, names, runId } from "@backup-cloud/format"
import { gpgPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { erasingFor, type RunReader, usedRuns } from "@backup-cloud/restore"
import { directoryStore } from "@backup-cloud/store"
import { readObject, type Trust, verifiersOf } from "@backup-cloud/trust"
import type { Machine } from "./machine.ts"
import { readNamed } from "./named.ts"
import { openReleased } from "./releases.ts"
import { type ChosenRun, knownRuns } from "./run-name.ts"

/** By whose right a run is opened. */
export type DrillKey =
  | { readonly by: "release"; readonly files: readonly string[]; readonly key?: unknown }
  | { readonly by: "verifier"; readonly key?: unknown }

export interface DrillJob extends Pick<Drill, "target" | "owner" | "check" | "load" | "onEvent" | "signal"> {
  readonly opened: DrillKey
  /** Folder in which the scratch place is made. */
  readonly scratch: string
}

export interface FinishedDrill extends DrillReport {
  /** Where the result lies, its signature beside it. */
  readonly file: string
  /** Whether it is in the archive too. */
  readonly published: boolean
}

/** Throws as opening releases and the drill itself, and as the store if the result cannot be put there. */
export async function drillRun(machine: Machine, chosen: ChosenRun, job: DrillJob): Promise<FinishedDrill> {
  const { trust, run, all } = chosen
  const { now, random } = machine.surroundings
  const { opened, scratch: parent, ...asked } = job
  const { view, operator } = await openForDrill(machine, chosen, opened)
  const from = await mediumOf(machine)
  const report = await withScratch(parent, (scratch) =>
    drill({
      ...asked,
      archive: trust.archive.archive,
      id: runId(now(), random(4)),
      view,
      newest: newestStart(all),
      from: from ?? "archive",
      rule: trust.policy.drills?.find(({ source }) => source === run.source) ?? null,
      scratch,
      operator,
      now,
    }),
  )
  const signed = await signResult(report.result, machine.personSigner(operator), machine.surroundings.signal)
  const file = await keepResult(machine, report.result.id, signed)
  if (from === null) await publish(machine, trust, signed, file)
  return { ...report, file, published: from === null }
}

async function withScratch<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  await using scratch = await openScratch(parent)
  return await work(scratch.folder)
}

/** The run opened, and the fingerprint of whoever signs the result. */
export async function openForDrill(
  machine: Machine,
  chosen: ChosenRun,
  opened: DrillKey,
): Promise<{ readonly view: RunReader; readonly operator: string }> {
  const { trust, run, all } = chosen
  const { signal } = machine.surroundings
  if (opened.by === "release") {
    const operator = await machine.operatorKey(trust, opened.key)
    const { view } = await openReleased(machine, chosen, { files: opened.files, key: operator })
    return { view, operator }
  }
  const operator = await verifierKey(machine, trust, run.source, opened.key)
  const { archive } = trust.archive
  const opener = gpgPrivateOpener(machine.person())
  const view = {
    reader: await machine.store(),
    opener: gpgPassphraseOpener(await machine.gpgHome()),
    // What must not come back does not, for practice either.
    erasing: await erasingFor({
      ...{ sealed: await machine.erasures(trust), archive, opener, run, releases: [], without: false, signal },
    }),
    run,
    runs: usedRuns(run, all.runs),
  }
  const secrets = await verifierSecrets({ ...view, archive, opener, signal })
  return { view: { ...view, secrets }, operator }
}

/** A run of the source, chosen at random among those that may be restored and that the key opens. Throws as `randomRun`. */
export async function chooseForDrill(machine: Machine, source: string, opened: DrillKey | null): Promise<ChosenRun> {
  const { trust, all } = await knownRuns(machine, source)
  const recipient = opened?.by === "verifier" ? await verifierKey(machine, trust, source, opened.key) : undefined
  return { trust, all, run: randomRun(all, machine.surroundings.random(4), recipient) }
}

/** The key of a verifier of `source` that is in this person's keyring; throws as `ownKey`. */
async function verifierKey(machine: Machine, { policy }: Trust, source: string, given: unknown) {
  const present = verifiersOf(policy, source).map(({ fingerprint }) => fingerprint)
  return await machine.ownKey(present, given, `verifier of ${source}`)
}

/** The sources that a verifier whose key is in this person's keyring is enrolled for; throws as `ownKey`. */
export async function verifiedSources(machine: Machine, { policy }: Trust, given: unknown): Promise<Set<string>> {
  const present = (policy.verifiers ?? []).filter(({ status }) => status === "present")
  const fingerprints = present.map(({ fingerprint }) => fingerprint)
  const own = await machine.ownKey(fingerprints, given, "verifier")
  return new Set(present.find(({ fingerprint }) => fingerprint === own)?.sources)
}

/** The id of the medium that the archive lies on; `null` where it is the archive itself. */
async function mediumOf(machine: Machine): Promise<string | null> {
  const bytes = await readObject(await machine.store(), MEDIUM, machine.surroundings.signal)
  return bytes === null ? null : identityCodec.decode(bytes, MEDIUM).medium
}

/** Where a home keeps the results of its own drills: as a store, laid out like an archive. */
export const ownResults = (machine: Machine) => directoryStore(machine.home)

async function keepResult(machine: Machine, id: string, { bytes, signature }: SignedResult): Promise<string> {
  const file = join(machine.home, names.drill(id))
  await mkdir(join(machine.home, "drills"), { recursive: true, mode: 0o700 })
  await writeFile(file, bytes, { mode: 0o600 })
  await writeFile(`${file}.sig`, signature, { mode: 0o600 })
  return file
}

async function publish(machine: Machine, trust: Trust, signed: SignedResult, file: string): Promise<void> {
  const { signal } = machine.surroundings
  try {
    await publishResult(trust, await machine.store(), signed, signal)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    throw new BackupError(error.fault, `${error.message}; the result of the drill is in ${file}`, {
      cause: error,
      hint: `put it into the archive once it can be written: backup-cloud drill --publish ${file}`,
    })
  }
}

/** Puts a result that lies in a file into the archive. Throws as `publishResult`. */
export async function publishFile(machine: Machine, trust: Trust, file: string) {
  const signed = { bytes: await readNamed(file), signature: await readNamed(`${file}.sig`) }
  return await publishResult(trust, await machine.store(), signed, machine.surroundings.signal)
}
