// One run of one source, from the first key to the commit (docs/format.md, section 3: the order of writing).
//
// source → entries → jobs → pieces → new chunks → volumes → store, and beside it the catalogue's text. What was unchanged
// since the last run is not read; what is known is not stored. A run that is told to stop, or takes long, commits what it
// has as a checkpoint; one that dies leaves objects that nothing names, and the archive as it was.

import { createSecretKey } from "node:crypto"
import {
  BackupError,
  type CatalogueEntry,
  checkValue,
  chunkKey,
  cutTable,
  derivedPassphrase,
  encodeEntry,
  encodeRoot,
  encodeRunKey,
  isFault,
  MAX_TAR,
  MAX_VOLUMES,
  names,
  type ObjectRecord,
  type Outcome,
  type Policy,
  type PolicySource,
  type Receipt,
  type Root,
  readCatalogue,
  runId,
  type Source,
  statePassphrase,
  timeText,
} from "@backup-cloud/format"
import type { Certificate, PassphraseOpener, Sealer, Signer } from "@backup-cloud/openpgp"
import type { ArchiveReader, ArchiveWriter } from "@backup-cloud/store"
import type { SourceRuns } from "@backup-cloud/trust"
import { Bundles } from "./bundles.ts"
import { CATALOGUE_TAR, CatalogueWriter } from "./catalogue-writer.ts"
import { classify, type Item, Listing } from "./classify.ts"
import { type Committed, commit } from "./commit.ts"
import { toEntry } from "./entry.ts"
import { lookBack } from "./look-back.ts"
import { Pool } from "./pool.ts"
import { type Placed, place, type ReadFile } from "./read.ts"
import { checkHorizon, MOST_RUNS } from "./reuse.ts"
import { openSealing, type SealJob, sealWhole } from "./sealing.ts"
import type { Flaw } from "./state.ts"
import { Used } from "./used.ts"

export type BackupEvent =
  | { readonly event: "started"; readonly run: string; readonly since: string | null }
  /** The state of an earlier run can't be used, and that of the run `instead` is: with none, everything is read again. */
  | ({ readonly event: "state"; readonly run: string; readonly instead: string | null } & Flaw)
  | { readonly event: "progress"; readonly entries: number; readonly bytes: number; readonly stored: number }
  | { readonly event: "unread"; readonly path: string; readonly why: string }
  /** What produces the content broke off: the run is committed as `failed`. `why` is for people. */
  | { readonly event: "broke-off"; readonly why: string }
  | { readonly event: "committed"; readonly run: string; readonly number: number; readonly outcome: Outcome }

export interface BackupOptions {
  readonly source: Source
  /** As the policy has it. */
  readonly entry: PolicySource
  readonly policy: Policy
  /** Certificates of all present holders. */
  readonly holders: readonly Certificate[]
  /** Judged runs of this source. */
  readonly earlier: SourceRuns
  /** The source's secret, 32 bytes. */
  readonly secret: Uint8Array
  readonly reader: ArchiveReader
  readonly writer: ArchiveWriter
  readonly sealer: Sealer
  readonly opener: PassphraseOpener
  readonly signer: Signer
  /** Open every volume again before it is stored, not only the first. */
  readonly proveAll: boolean
  /** Worker threads. */
  readonly workers: number
  /** Milliseconds between checkpoints. */
  readonly checkpointEvery: number
  readonly now: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly onEvent: (event: BackupEvent) => void
  /** Told to stop: what is done so far is committed as a checkpoint. */
  readonly stop: AbortSignal
  /** Aborts at once; nothing more is committed. */
  readonly signal: AbortSignal
}

export interface BackupResult {
  readonly run: string
  readonly number: number
  readonly outcome: Outcome
  readonly entries: number
  readonly bytes: number
  /** Bytes of sealed objects that this run stored. */
  readonly stored: number
  /** How many entries could not be kept whole, by reason. */
  readonly errors: ReadonlyMap<string, number>
}

/** Makes one run. Throws as its parts do, and says what is committed; what is not is as if it had not been. */
export async function backup(options: BackupOptions): Promise<BackupResult> {
  if (options.policy.release !== "any") {
    throw new BackupError(
      "refused",
      "the policy's release rule is not one that this version can back up under; nothing was read",
    )
  }
  if (options.holders.length === 0) {
    throw new BackupError("refused", "the policy names no present key holder; nothing was backed up", {
      hint: "enrol one: backup-cloud holder add FILE",
    })
  }
  await using pool = new Pool(options.workers, {
    chunkKey: chunkKey(options.secret),
    cutTable: cutTable(options.secret),
  })
  const run = new Run(options)
  try {
    return await run.make(pool)
  } catch (error) {
    throw run.describe(error)
  }
}

class Run {
  readonly #o: BackupOptions
  readonly #id: string
  readonly #key: string
  readonly #started: Date
  readonly #folder: string
  readonly #used: Used
  readonly #volumes: Bundles
  readonly #catalogues: Bundles
  readonly #errors = new Map<string, number>()
  #objects: ObjectRecord[] = []
  #entries = 0
  /** Entries with attribute `error`. */
  #failed = 0
  #bytes = 0
  #stored = 0
  #committed: (Committed & { readonly outcome: Outcome }) | null = null
  #lastCommit: number

  constructor(options: BackupOptions) {
    this.#o = options
    this.#started = options.now()
    this.#lastCommit = this.#started.getTime()
    this.#id = runId(this.#started, options.random(4))
    this.#key = Buffer.from(options.random(32)).toString("hex")
    this.#folder = names.runDirectory(options.entry.name, this.#id)
    this.#used = new Used(this.#id)
    this.#volumes = new Bundles(MAX_TAR, (n) => [
      openSealing(options, this.#job(names.volume(n), n === 1 || options.proveAll)),
    ])
    this.#catalogues = new Bundles(CATALOGUE_TAR, (n) => [
      openSealing(options, this.#job(names.catalogue(n), n === 1 || options.proveAll)),
      openSealing(options, this.#stateJob(names.catalogue(n))),
    ])
  }

  async make(pool: Pool): Promise<BackupResult> {
    const { signal, onEvent } = this.#o
    const { states, reuse, known, texts } = await lookBack({
      ...this.#o,
      source: this.#o.entry.name,
      now: this.#started,
      onFlaw: (flaw) => {
        onEvent({ event: "state", ...flaw })
      },
    })
    onEvent({ event: "started", run: this.#id, since: states[0]?.root.run ?? null })
    await this.#writeKey()
    const naming = {
      chunkKey: createSecretKey(chunkKey(this.#o.secret)),
      table: Int32Array.from(cutTable(this.#o.secret)),
    }
    const catalogue = new CatalogueWriter(naming, this.#id, this.#catalogues, texts)
    const listings = states.map((state) => new Listing(readCatalogue(state.catalogue())))
    const usable = (entry: CatalogueEntry): boolean =>
      entry.chunks.every((chunk) => reuse.allows(chunk.id, chunk, names.volume))
    const { source } = this.#o
    const jobs = classify(source.entries(signal), listings, usable, source.identity)
    const deps = { pool, known, bundles: this.#volumes, run: this.#id, signal }
    const outcome = await this.#keep(place(deps, jobs), catalogue)
    for (const listing of listings) await listing.close()
    return await this.#commit(outcome, catalogue)
  }

  /** Writes the catalogue as content comes to lie in volumes; how the run ends. */
  async #keep(placed: AsyncIterable<Placed>, catalogue: CatalogueWriter): Promise<Outcome> {
    const { signal, stop, now, checkpointEvery, onEvent } = this.#o
    try {
      for await (const { job, files } of placed) {
        signal.throwIfAborted()
        let text = ""
        for (const item of job.items) text += this.#line(item, item.file < 0 ? null : (files[item.file] ?? null))
        await catalogue.write(text)
        onEvent({ event: "progress", entries: this.#entries, bytes: this.#bytes, stored: this.#stored })
        if (stop.aborted || this.#volumes.count >= MAX_VOLUMES - 64) return "checkpoint"
        if (now().getTime() - this.#lastCommit >= checkpointEvery) await this.#commit("checkpoint", catalogue)
      }
    } catch (error) {
      if (!isFault(error, "incomplete")) throw error
      this.#errors.set("broke-off", 1)
      onEvent({ event: "broke-off", why: error.message })
      return "failed"
    }
    return this.#errors.size > 0 ? "partial" : "complete"
  }

  /** An error that ended the run, with what there is of the run. */
  describe(error: unknown): unknown {
    if (!(error instanceof BackupError)) return error
    const run = `run ${this.#id}`
    const { number = 0, outcome = null } = this.#committed ?? {}
    const state =
      outcome === null
        ? `${run} was not committed`
        : outcome === "checkpoint"
          ? `${run} was committed as far as its checkpoint ${number}`
          : `${run} was committed, and is ${outcome}: only its state is not, so that the next one reads everything again`
    const { fault, cause, hint } = error
    return new BackupError(fault, `${error.message}; ${state}`, {
      cause: cause ?? error,
      ...(hint === undefined ? {} : { hint }),
    })
  }

  #job(name: string, prove: boolean): SealJob {
    const passphrase = derivedPassphrase(this.#key, this.#id, name)
    return { folder: this.#folder, name, certificates: this.#o.holders, passphrase, prove }
  }

  #stateJob(name: string): SealJob {
    const { entry, secret } = this.#o
    const folder = names.stateDirectory(entry.name, this.#id)
    const passphrase = statePassphrase(secret, this.#id, name)
    return { folder, name, certificates: [], passphrase, prove: false }
  }

  async #writeKey(): Promise<void> {
    const { policy, entry, holders } = this.#o
    const text = encodeRunKey({ archive: policy.archive, source: entry.name, run: this.#id, key: this.#key })
    const job = {
      folder: this.#folder,
      name: names.key,
      certificates: holders,
      passphrase: null,
      prove: false,
    }
    this.#record([await sealWhole(this.#o, job, text)])
  }

  /** The catalogue's lines of one entry. */
  #line(item: Item, read: ReadFile | null): string {
    const entry = toEntry(item, read)
    this.#entries++
    if (entry.type === "f") this.#bytes += entry.size
    this.#used.add(entry.chunks)
    const why = entry.attributes.get("error")
    if (why !== undefined) this.#failed++
    if (why !== undefined) this.#note(entry.path, why)
    // Content came through, attributes did not: the run is partial, and restore misses no content.
    const lacks = entry.attributes.get("lacks")
    if (lacks !== undefined) this.#note(entry.path, `lacks-${lacks.replaceAll(",", "-")}`)
    return encodeEntry(entry)
  }

  #note(path: string, why: string): void {
    this.#errors.set(why, (this.#errors.get(why) ?? 0) + 1)
    this.#o.onEvent({ event: "unread", path, why })
  }

  #record(objects: readonly ObjectRecord[]): void {
    this.#objects.push(...objects)
    for (const object of objects) this.#stored += object.length
  }

  async #commit(outcome: Outcome, catalogue: CatalogueWriter): Promise<BackupResult> {
    const { entry, earlier, policy, onEvent, now } = this.#o
    const number = (this.#committed?.number ?? 0) + 1
    this.#record(await this.#volumes.flush())
    const written = await catalogue.snapshot()
    this.#record(await this.#catalogues.flush())
    const root = encodeRoot({
      archive: policy.archive,
      source: entry.name,
      run: this.#id,
      number,
      kind: this.#o.source.kind,
      outcome,
      entries: this.#entries,
      errors: this.#failed,
      bytes: this.#bytes,
      catalogue: written,
    })
    this.#record([await sealWhole(this.#o, this.#job(names.root(number), true), root)])
    const receipt = this.#receipt(outcome, number, written)
    const used = new Set(receipt.uses.map((use) => use.run))
    if (used.size > MOST_RUNS) throw new RangeError("a run uses more than 16 earlier ones")
    checkHorizon(
      earlier.runs.filter((run) => used.has(run.run)),
      policy,
      now(),
    )
    this.#committed = { ...(await commit(this.#o, receipt, this.#objects, this.#committed)), outcome }
    this.#objects = []
    await sealWhole(this.#o, this.#stateJob(names.root(number)), root)
    this.#lastCommit = now().getTime()
    onEvent({ event: "committed", run: this.#id, number, outcome })
    return {
      run: this.#id,
      number,
      outcome,
      entries: this.#entries,
      bytes: this.#bytes,
      stored: this.#stored,
      errors: new Map(this.#errors),
    }
  }

  #receipt(outcome: Outcome, number: number, catalogue: Root["catalogue"]): Omit<Receipt, "objects"> {
    const { policy, entry, earlier, source, now } = this.#o
    const sums = new Map(earlier.runs.map((run) => [run.run, run.sumsDigest]))
    return {
      format: "backup-cloud/1",
      type: "receipt",
      archive: policy.archive,
      source: entry.name,
      run: this.#id,
      number,
      policy: policy.number,
      outcome,
      started: timeText(this.#started),
      finished: timeText(now()),
      kind: source.kind,
      release: policy.release,
      check: checkValue(this.#key),
      recipients: this.#o.holders.map((holder) => holder.fingerprint).sort(),
      previous: earlier.heads.map((run) => `${run.run} ${run.sumsDigest}`).sort(),
      uses: this.#used.list(catalogue, (run) => sums.get(run) ?? ""),
      entries: roundUp(this.#entries),
      bytes: roundUp(this.#bytes),
      errors: [...this.#errors].map(([why, count]) => `${why} ${count}`).sort(),
      handed: [],
    }
  }
}

/** Totals are told only as powers of two; 0 stays 0. */
function roundUp(total: number): number {
  return total === 0 ? 0 : 2 ** Math.ceil(Math.log2(total))
}
