// A machine with one source, for tests of whole runs without the command: real parts throughout, an archive in memory,
// OpenPGP.js keys, and a clock that stands still until it is moved. It keeps each run's key, as a holder could tell it.

import { randomBytes } from "node:crypto"
import { checkValue, derivedPassphrase, type Receipt, type Source } from "@backup-cloud/format"
import { jsPassphraseOpener } from "@backup-cloud/openpgp/open-passphrase"
import { jsSealer } from "@backup-cloud/openpgp/seal"
import { memoryStore, type Store } from "@backup-cloud/store"
import {
  type JudgedRun,
  memoryInMemory,
  type Problem,
  readRuns,
  type SourceRuns,
  selectRun,
  verifyArchive,
} from "@backup-cloud/trust"
import { catalogueEntries, Erasing, fileContent, openRoot, type RunReader, usedRuns } from "../../restore/src/index.ts"
import { get } from "../../store/test/helpers.ts"
import { collect, digest, makeArchive, RECOVER_TEXT, signal, type TestArchive } from "../../trust/test/archive.ts"
import { type BackupOptions, type BackupResult, backup, startWorkers } from "../src/index.ts"

export const SOURCE = "docs"

export interface Machine {
  readonly archive: TestArchive
  readonly store: Store
  /** Of the store and of the backup process. */
  readonly clock: { now: Date }
  /** As the backup process has it; run keys are kept, for `content`. */
  random(count: number): Uint8Array
  backup(store: Store, more?: Partial<BackupOptions>): Promise<BackupResult>
  /** All that `verify` finds. */
  problems(store: Store): Promise<readonly Problem[]>
  runs(store: Store): Promise<SourceRuns>
  /**
   * Content by path of a run, every file checked by its digest.
   * @param opened gets the id of every run whose key was needed: one operation with a private key each
   */
  content(store: Store, which: string, opened?: Set<string>): Promise<Map<string, string>>
  receipt(store: Store, which: string): Promise<Receipt>
  /** A run and what it uses, with all their keys. @param opened as of `content` */
  view(store: Store, which: string, opened?: Set<string>): Promise<RunReader>
}

export async function makeMachine(source: Source): Promise<Machine> {
  const clock = { now: new Date("2026-11-24T08:00:00Z") }
  const store = memoryStore({ now: () => clock.now })
  const archive = await makeArchive(store)
  await archive.addSource(SOURCE)
  const secret = new Uint8Array(randomBytes(32))
  const keys: string[] = []
  const random = (count: number): Uint8Array => {
    const bytes = new Uint8Array(randomBytes(count))
    if (count === 32) keys.push(Buffer.from(bytes).toString("hex"))
    return bytes
  }
  const trusted = async (reader: Store) => await archive.load({ reader })
  const runs = async (reader: Store): Promise<SourceRuns> =>
    await readRuns(await trusted(reader), reader, SOURCE, signal)
  const chosen = async (reader: Store, which: string): Promise<JudgedRun> => selectRun(await runs(reader), which)
  const view: Machine["view"] = async (reader, which, opened = new Set()) => {
    const all = await runs(reader)
    const run = selectRun(all, which)
    const used = usedRuns(run, all.runs)
    const byCheck = new Map(keys.map((key) => [checkValue(key), key]))
    return {
      ...{ reader, run, runs: used, opener: jsPassphraseOpener(), erasing: new Erasing([]) },
      secrets: {
        passphraseFor(id, base) {
          opened.add(id)
          const of = id === run.run ? run : used.get(id)
          const key = byCheck.get(of?.receipt.check ?? "")
          return key === undefined ? null : derivedPassphrase(key, id, base)
        },
      },
    }
  }
  return {
    ...{ archive, store, clock, random },
    async backup(on, more = {}) {
      const trust = await trusted(on)
      const signer = archive.sources.get(SOURCE)?.signer
      const [entry] = trust.policy.sources
      if (signer === undefined || entry === undefined) throw new Error("the source has no key")
      await using pool = startWorkers(1, secret)
      return await backup({
        source,
        entry,
        policy: trust.policy,
        holders: archive.holders.map((holder) => holder.certificate),
        earlier: () => runs(on),
        secret,
        reader: on,
        writer: on,
        sealer: jsSealer(),
        opener: jsPassphraseOpener(),
        signer,
        proveAll: false,
        pool,
        checkpointEvery: 3_600_000,
        now: () => clock.now,
        random,
        onEvent: () => undefined,
        stop: signal,
        signal,
        ...more,
      })
    },
    runs,
    async problems(reader) {
      const report = await verifyArchive({
        trust: await trusted(reader),
        reader,
        quick: false,
        memory: memoryInMemory(),
        onEvent: () => undefined,
        signal,
        width: 2,
        unsigned: new Map([["RECOVER.txt", digest(RECOVER_TEXT)]]),
      })
      return report.problems
    },
    receipt: async (reader, which) => (await chosen(reader, which)).receipt,
    view,
    async content(reader, which, opened) {
      const run = await view(reader, which, opened)
      const files = new Map<string, string>()
      for await (const entry of catalogueEntries(run, await openRoot(run, signal), signal)) {
        if (entry.type !== "f") continue
        files.set(entry.path, Buffer.concat(await collect(fileContent(run, entry, signal))).toString("latin1"))
      }
      return files
    },
  }
}

/** Another store in memory that holds the same. */
export async function copyOf(store: Store, now: () => Date): Promise<Store> {
  return await copyTo(store, memoryStore({ now }))
}

/** Copies every object; the store that has them then. */
export async function copyTo(from: Store, to: Store): Promise<Store> {
  for await (const { name } of from.list("", signal)) {
    const bytes = await get(from, name)
    await to.create(name, [bytes], digest(bytes), signal)
  }
  return to
}
