// One run of one source, from the first key to the commit (docs/format.md, section 3: the order of writing).
//
// source → entries → jobs → pieces → new chunks → volumes → store, and beside it the catalogue's text. What was unchanged
// since the last run is not read; what is known is not stored. A run that is told to stop, or takes long, commits what it
// has as a checkpoint; one that dies leaves objects that nothing names, and the archive as it was.

import { createSecretKey } from "node:crypto"
import {
  BackupError,
  type CatalogueEntry,
  type ChunkRef,
  checkValue,
  chunkKey,
  cutTable,
  derivedPassphrase,
  encodeEntry,
  encodeRoot,
  encodeRunKey,
  FULL,
  isFault,
  MAX_NUMBERS,
  MAX_TAR,
  MAX_VOLUMES,
  names,
  type ObjectRecord,
  type Outcome,
  pathKey,
  type Receipt,
  type Root,
  readCatalogue,
  runId,
  statePassphrase,
  timeText,
} from "@backup-cloud/format"
import type { SourceRuns } from "@backup-cloud/trust"
import { Bundles } from "./bundles.ts"
import { CATALOGUE_TAR, CatalogueWriter } from "./catalogue-writer.ts"
import { classify, type Item, Listing } from "./classify.ts"
import { type Committed, commit } from "./commit.ts"
import { toEntry } from "./entry.ts"
import { lookBack } from "./look-back.ts"
import type { BackupOptions, BackupResult, Limits } from "./options.ts"
import { type Placed, place, type ReadFile } from "./read.ts"
import { checkHorizon, MOST_RUNS } from "./reuse.ts"
import { Room } from "./room.ts"
import { openSealing, type SealJob, sealWhole } from "./sealing.ts"
import { encodeUnfinished } from "./unfinished.ts"
import { Used } from "./used.ts"

export class Run {
  readonly #o: BackupOptions
  readonly #earlier: SourceRuns
  readonly #limits: Limits
  readonly #id: string
  readonly #key: string
  readonly #started: Date
  readonly #folder: string
  /** Ends everything that is under way once the run has failed. */
  readonly #end = new AbortController()
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
  /** Bytes of the job whose content is being placed. */
  #placed = 0
  #committed: (Committed & { readonly outcome: Outcome }) | null = null
  #lastCommit: number
  /** Whether anything was read since the last commit. */
  #isFresh = false
  /** Chunks that lie in volumes, of files that were not read to their end. */
  #unfinished: readonly ChunkRef[] = []
  /** Whether anything was read to its end. */
  #hasRead = false
  #before: BackupResult["before"] = null
  #full = false
  #reached = ""

  constructor(options: BackupOptions, earlier: SourceRuns) {
    this.#o = { ...options, signal: AbortSignal.any([options.signal, this.#end.signal]) }
    this.#earlier = earlier
    this.#limits = { volumeBytes: FULL, volumes: MAX_VOLUMES, commits: MAX_NUMBERS, ...options.limits }
    this.#started = options.now()
    this.#lastCommit = this.#started.getTime()
    this.#id = freeRunId(this.#started, options.random, earlier)
    this.#key = Buffer.from(options.random(32)).toString("hex")
    this.#folder = names.runDirectory(options.entry.name, this.#id)
    this.#used = new Used(this.#id)
    this.#volumes = new Bundles(MAX_TAR, this.#limits.volumeBytes, (n) => {
      if (n > this.#limits.volumes) throw tooLarge(this.#limits.volumes)
      return [openSealing(this.#o, this.#job(names.volume(n), n === 1 || options.proveAll))]
    })
    this.#catalogues = new Bundles(CATALOGUE_TAR, FULL, (n) => [
      openSealing(this.#o, this.#job(names.catalogue(n), n === 1 || options.proveAll)),
      openSealing(this.#o, this.#stateJob(names.catalogue(n))),
    ])
  }

  /** Whether it ended before the tree did, because it may hold no more. */
  get isFull(): boolean {
    return this.#full
  }

  /** Sorting key of the last entry that it has. */
  get reached(): string {
    return this.#reached
  }

  async make(): Promise<BackupResult> {
    try {
      return await this.#make()
    } catch (error) {
      // What is being sealed would wait for more for ever.
      this.#end.abort(error)
      await this.#volumes.settled()
      await this.#catalogues.settled()
      throw this.#describe(error)
    }
  }

  async #make(): Promise<BackupResult> {
    const { signal, onEvent } = this.#o
    const { states, reuse, known, texts } = await lookBack({
      ...this.#o,
      earlier: this.#earlier,
      source: this.#o.entry.name,
      now: this.#started,
      onFlaw: (flaw) => {
        onEvent({ event: "state", ...flaw })
      },
    })
    onEvent({ event: "started", run: this.#id, since: states[0]?.root.run ?? null })
    const complete = states.find(({ root }) => root.outcome === "complete")
    if (complete !== undefined) this.#before = { entries: complete.root.entries, bytes: complete.root.bytes }
    await this.#writeKey()
    const naming = {
      chunkKey: createSecretKey(chunkKey(this.#o.secret)),
      table: Int32Array.from(cutTable(this.#o.secret)),
    }
    const catalogue = new CatalogueWriter(naming, this.#id, this.#catalogues, texts)
    const listings = states.map((state) => new Listing(readCatalogue(state.catalogue())))
    const usable = (entry: CatalogueEntry): boolean =>
      entry.chunks.every((chunk) => reuse.allows(chunk.id, chunk, names.volume))
    const { source, stop } = this.#o
    // What is read over a network may not come for long.
    const reading = AbortSignal.any([signal, stop])
    const jobs = classify(source.entries(reading), listings, usable, source.identity)
    const onPlaced = (bytes: number): void => {
      this.#placed += bytes
      this.#tell()
    }
    const deps = { pool: this.#o.pool, known, bundles: this.#volumes, run: this.#id, onPlaced, stop, signal }
    const room = new Room(this.#limits.volumes, () => this.#volumes.count)
    const outcome = await this.#keep(place(deps, room.within(jobs)), room, catalogue)
    for (const listing of listings) await listing.close()
    // A catalogue begins with the top: a run without it could be neither built on nor restored.
    if (this.#entries === 0 && outcome === "checkpoint") throw stoppedEarly()
    return await this.#commit(outcome, catalogue)
  }

  /** Writes the catalogue as content comes to lie in volumes; how the run ends. */
  async #keep(placed: AsyncIterable<Placed>, room: Room, catalogue: CatalogueWriter): Promise<Outcome> {
    const { signal, now, checkpointEvery, onEvent } = this.#o
    try {
      for await (const { job, files, unfinished } of placed) {
        signal.throwIfAborted()
        let text = ""
        for (const item of job.items) text += this.#line(item, item.file < 0 ? null : (files[item.file] ?? null))
        await catalogue.write(text)
        this.#hasRead ||= files.length > 0
        if (unfinished !== null) {
          this.#unfinished = unfinished
          return "checkpoint"
        }
        room.placed(job)
        this.#placed = 0
        this.#tell()
        // What was only kept is in the listing of the run before; a checkpoint of it would spare nobody anything.
        this.#isFresh ||= files.length > 0
        // A clock that was set back by more than that makes one due as well.
        if (!this.#isFresh || Math.abs(now().getTime() - this.#lastCommit) < checkpointEvery) continue
        this.#full = (this.#committed?.number ?? 0) >= this.#limits.commits - 1
        if (this.#full) return "checkpoint"
        await this.#commit("checkpoint", catalogue)
      }
    } catch (error) {
      if (!isFault(error, "incomplete")) throw error
      this.#errors.set("broke-off", 1)
      onEvent({ event: "broke-off", why: error.message })
      return "failed"
    }
    this.#full = room.full
    if (this.#full) return "checkpoint"
    return this.#errors.size > 0 ? "partial" : "complete"
  }

  /** An error that ended the run, with what there is of the run. */
  #describe(error: unknown): unknown {
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
    this.#reached = pathKey(entry.path)
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

  #tell(): void {
    const bytes = this.#bytes + this.#placed
    const stored = this.#stored + this.#volumes.stored + this.#catalogues.stored
    this.#o.onEvent({ event: "progress", entries: this.#entries, bytes, stored })
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
    const { entry, policy, onEvent, now } = this.#o
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
      this.#earlier.runs.filter((run) => used.has(run.run)),
      policy,
      now(),
    )
    this.#committed = { ...(await commit(this.#o, receipt, this.#objects, this.#committed)), outcome }
    this.#objects = []
    if (this.#unfinished.length > 0)
      await sealWhole(this.#o, this.#stateJob(names.unfinished), encodeUnfinished(this.#unfinished))
    await sealWhole(this.#o, this.#stateJob(names.root(number)), root)
    this.#lastCommit = now().getTime()
    this.#isFresh = false
    onEvent({ event: "committed", run: this.#id, number, outcome })
    return {
      run: this.#id,
      number,
      outcome,
      entries: this.#entries,
      bytes: this.#bytes,
      stored: this.#stored,
      errors: new Map(this.#errors),
      advanced: this.#hasRead || this.#volumes.count > 0,
      before: this.#before,
    }
  }

  #receipt(outcome: Outcome, number: number, catalogue: Root["catalogue"]): Omit<Receipt, "objects"> {
    const { policy, entry, source, now } = this.#o
    const sums = new Map(this.#earlier.runs.map((run) => [run.run, run.sumsDigest]))
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
      previous: this.#earlier.heads.map((run) => `${run.run} ${run.sumsDigest}`).sort(),
      uses: this.#used.list(catalogue, (run) => sums.get(run) ?? ""),
      entries: roundUp(this.#entries),
      bytes: roundUp(this.#bytes),
      errors: [...this.#errors].map(([why, count]) => `${why} ${count}`).sort(),
      handed: [...(this.#o.handed ?? [])],
    }
  }
}

/** An id that no run has. That of one which begins at this moment can't be known: its key is refused a name. */
function freeRunId(started: Date, random: BackupOptions["random"], { runs, broken, unfinished }: SourceRuns): string {
  const taken = new Set([...runs.map((run) => run.run), ...broken, ...unfinished])
  let id = runId(started, random(4))
  for (let tries = 1; taken.has(id) && tries < 8; tries++) id = runId(started, random(4))
  return id
}

function stoppedEarly(): BackupError {
  return new BackupError("incomplete", "it was told to stop before anything was read", { hint: "back up again" })
}

function tooLarge(volumes: number): BackupError {
  return new BackupError("refused", `what is being read alone fills more than the ${volumes} volumes of a run`, {
    hint: "leave it out with --exclude, or have it written in several parts",
  })
}

/** Totals are told only as powers of two; 0 stays 0. */
function roundUp(total: number): number {
  return total === 0 ? 0 : 2 ** Math.ceil(Math.log2(total))
}
