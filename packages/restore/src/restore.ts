// The restore itself: entries without content first, then volume after volume, each opened once and its chunks written to
// every place that wants them, then hard links. A file gets its name when its SHA-256 is the catalogue's; until then it
// is staged. Interrupted, the same command goes on: what is in place and whole is not written again.
//
// Memory: the plan, and the plaintexts of two volumes, 64 MiB each, of which one is unpacked and the other opened.

import { createHash, hash } from "node:crypto"
import {
  BackupError,
  type CatalogueEntry,
  escapeControl,
  fromByteString,
  inOrder,
  names,
  step,
  type Target,
  type TargetProblem,
  volumeMembers,
} from "@backup-cloud/format"
import { type ErasedSql, eraseIn, requireErasing } from "./erase-sql.ts"
import { Hasher, type HashStream } from "./hasher.ts"
import { openObject, type Rooms } from "./open.ts"
import type { ChunkPlace } from "./places.ts"
import type { RestorePlan, VolumeNeed } from "./plan.ts"
import { Room } from "./room.ts"
import { locate, type RunReader } from "./view.ts"

export type RestoreEvent =
  | {
      readonly type: "planned"
      readonly entries: number
      readonly files: number
      readonly bytes: number
      readonly volumes: number
    }
  /** After each volume, and once all entries without content are made. */
  | { readonly type: "progress"; readonly files: number; readonly bytes: number; readonly volumes: number }
  /** Only when salvaging. `path` is a byte string. */
  | { readonly type: "lost"; readonly path: string; readonly why: string }
  | { readonly type: "problem"; readonly problem: TargetProblem }

export interface RestoreOptions {
  readonly view: RunReader
  readonly plan: RestorePlan
  readonly target: Target
  /** Names what is restored and chosen, so that only the same restore is gone on with. */
  readonly what: string
  /** Leave out what damaged or missing objects hold, instead of stopping at the first. */
  readonly salvage?: boolean
  /** Read every file again after writing and compare it. */
  readonly verify?: boolean
  readonly onEvent: (event: RestoreEvent) => void
  readonly signal: AbortSignal
}

export interface RestoreResult {
  readonly files: number
  readonly bytes: number
  /** Of them, how many were in place from an interrupted restore. */
  readonly resumed: number
  /** Paths (byte strings) that could not be restored; empty unless salvaging. */
  readonly lost: readonly string[]
  readonly problems: readonly TargetProblem[]
  /** What became of the SQL of erasures, as `ErasingTarget` has it. */
  readonly erased: readonly ErasedSql[]
}

/**
 * Throws `refused` before anything is written if a release is missing, or if SQL is to be run that the target cannot; `tampered` or `incomplete` for an object or file
 * that is not what it must be; `differs` if a file read back is not what was written; what the target throws. When
 * salvaging, the result lists what was lost, and the caller reports `incomplete`.
 */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  const { source, run } = options.view.run
  return await step("restore", { source, run }, async (more) => {
    const result = await restored(options)
    more({ files: result.files, bytes: result.bytes, lost: result.lost.length })
    return result
  })
}

async function restored(options: RestoreOptions): Promise<RestoreResult> {
  const { plan, view, target, signal, onEvent } = options
  requireReleases(view, plan, options.salvage === true)
  requireErasing(view.erasing.sql, target)
  const { files, bytes } = plan
  onEvent({ type: "planned", entries: plan.entries.length, files, bytes, volumes: plan.volumes.length })
  await target.begin(options.what, signal)
  await using hasher = new Hasher()
  const work = new Work(options, hasher)
  await work.makeEntries()
  await work.writeVolumes()
  work.loseUnfinished()
  await work.makeLinks()
  if (options.verify === true) await work.compare()
  const erased = await eraseIn(view.erasing.sql, target, signal)
  const problems = await target.finish(signal)
  return { ...work.result(problems), erased }
}

function requireReleases(view: RunReader, plan: RestorePlan, salvage: boolean): void {
  const closed = plan.volumes.filter((need) => {
    try {
      locate(view, "volume", need.run, need.volume)
    } catch (error) {
      if (salvage) return false
      throw error
    }
    return view.secrets.passphraseFor(need.run, names.volume(need.volume)) === null
  })
  const [first] = closed
  if (first === undefined) return
  const others = closed.length === 1 ? "" : `, nor ${closed.length - 1} more`
  throw new BackupError("refused", `no release given opens ${first.run}/${names.volume(first.volume)}${others}`, {
    hint: "ask a key holder with `backup-cloud request`; nothing was written",
  })
}

/** A file of which some but not all chunks are staged. */
interface Progress {
  readonly entry: CatalogueEntry
  /** Of the bytes up to `next`; `null` once a chunk came out of order: then the file is read back. */
  hash: HashStream | null
  next: number
  missing: number
}

class Work {
  readonly #options: RestoreOptions
  readonly #progress = new Map<number, Progress>()
  /** 1 for each entry that needs nothing more, 2 for what is lost. */
  readonly #state: Uint8Array
  readonly #lost: string[] = []
  readonly #problems: TargetProblem[] = []
  readonly #hasher: Hasher
  readonly #rooms: Rooms
  #files = 0
  #bytes = 0
  #resumed = 0
  #volumes = 0

  constructor(options: RestoreOptions, hasher: Hasher) {
    this.#options = options
    this.#hasher = hasher
    this.#rooms = { sealed: new Room(1, hasher.object), plain: new Room(WIDTH), hasher }
    this.#state = new Uint8Array(options.plan.entries.length)
  }

  /** Everything that has no content. Directories come before what they hold; hard links wait until all else is there. */
  async makeEntries(): Promise<void> {
    const { plan, target, signal } = this.#options
    let index = 0
    for (const entry of plan.entries) {
      const i = index++
      if (entry.type === "h") continue
      if (entry.type !== "f" || entry.sha256 === null) {
        await target.make(entry, signal)
        this.#state[i] = 1
      } else if (await target.has(entry, signal)) {
        this.#resumed++
        this.#done(i, entry)
      } else if (entry.size === 0) {
        if (entry.sha256 !== EMPTY) await this.#lose(i, this.#damaged(entry).message)
        else {
          await target.commit(entry, signal)
          this.#done(i, entry)
        }
      }
      const error = entry.attributes.get("error")
      const absent = entry.type === "u" || (entry.type === "f" && entry.sha256 === null)
      // What is not there at all is for the target to report.
      if (error !== undefined && !absent)
        this.#problem({ path: entry.path, why: `was not whole when it was backed up: ${error}`, expected: false })
    }
    this.#report()
  }

  async writeVolumes(): Promise<void> {
    const { plan, view, signal } = this.#options
    const needed = plan.volumes.filter((v) => v.places.some((file) => this.#state[file] === 0))
    this.#volumes = plan.volumes.length - needed.length
    for await (const { need, plain } of inOrder(needed, WIDTH, signal, (need, s) => this.#open(view, need, s))) {
      await this.#writeVolume(need, plain)
      this.#volumes++
      this.#report()
    }
  }

  async #open(view: RunReader, need: VolumeNeed, signal: AbortSignal): Promise<{ need: VolumeNeed; plain: Opened }> {
    try {
      const located = locate(view, "volume", need.run, need.volume)
      return { need, plain: await openObject(view, located, signal, this.#rooms) }
    } catch (error) {
      return { need, plain: this.#forgiven(error) }
    }
  }

  /** The error, if salvaging goes on behind it; throws it otherwise. */
  #forgiven(error: unknown): BackupError {
    const damage = error instanceof BackupError && (error.fault === "tampered" || error.fault === "incomplete")
    if (this.#options.salvage === true && damage) return error
    throw error
  }

  async #writeVolume(need: VolumeNeed, opened: Opened): Promise<void> {
    const where = `${need.run}/${names.volume(need.volume)}`
    const wanted = need.places.byId((file) => this.#state[file] === 0)
    let failure = opened instanceof BackupError ? opened : null
    if (!(opened instanceof BackupError)) {
      try {
        for await (const { id, bytes } of volumeMembers(opened, where, this.#options.signal)) {
          for (const place of wanted.get(id) ?? [])
            if (bytes.length === place.length) await this.#writeChunk(place, bytes)
          if (wanted.get(id)?.[0]?.length === bytes.length) wanted.delete(id)
        }
      } catch (error) {
        failure = this.#forgiven(error)
      } finally {
        this.#rooms.plain.give(opened)
      }
    }
    for (const [id, places] of wanted) {
      failure ??= this.#forgiven(
        new BackupError("tampered", `${where}: does not hold chunk ${id} as the catalogue has it`),
      )
      for (const { file } of places) if (this.#state[file] === 0) await this.#lose(file, failure.message)
    }
  }

  async #writeChunk({ file, offset }: ChunkPlace, bytes: Buffer): Promise<void> {
    if (this.#state[file] !== 0) return
    const { plan, target, signal } = this.#options
    let progress = this.#progress.get(file)
    if (progress === undefined) {
      const entry = plan.entries.get(file)
      if (entry.size === bytes.length) {
        // Most files are one chunk: its digest is known before the first byte is written.
        if (hash("sha256", bytes) !== entry.sha256) {
          await this.#lose(file, this.#damaged(entry).message)
          return
        }
        await target.write(entry, 0, bytes, signal)
        await target.commit(entry, signal)
        this.#done(file, entry)
        return
      }
      progress = { entry, hash: this.#hasher.stream(), next: 0, missing: entry.size }
      this.#progress.set(file, progress)
    }
    if (progress.hash !== null && progress.next === offset) await progress.hash.update(bytes)
    else progress.hash = null
    progress.next = offset + bytes.length
    progress.missing -= bytes.length
    await target.write(progress.entry, offset, bytes, signal)
    if (progress.missing === 0) await this.#complete(file, progress)
  }

  async #complete(file: number, { entry, hash: inOrderHash }: Progress): Promise<void> {
    const { target, signal } = this.#options
    this.#progress.delete(file)
    const digest = await (inOrderHash?.digest() ?? digestOf(target.read(entry, signal)))
    if (digest === entry.sha256) {
      await target.commit(entry, signal)
      this.#done(file, entry)
      return
    }
    await target.discard(entry)
    await this.#lose(file, this.#damaged(entry).message)
  }

  #damaged(entry: CatalogueEntry): BackupError {
    return this.#forgiven(
      new BackupError("tampered", `${shown(entry.path)}: its content is not what the catalogue says; not restored`),
    )
  }

  #done(file: number, entry: CatalogueEntry): void {
    this.#state[file] = 1
    this.#files++
    this.#bytes += entry.size
  }

  async #lose(file: number, why: string): Promise<void> {
    const entry = this.#options.plan.entries.get(file)
    this.#state[file] = 2
    this.#progress.delete(file)
    await this.#options.target.discard(entry)
    this.#lost.push(entry.path)
    this.#options.onEvent({ type: "lost", path: entry.path, why })
  }

  loseUnfinished(): void {
    const [first] = this.#progress.values()
    if (first !== undefined) throw new BackupError("tampered", `${shown(first.entry.path)}: chunks do not add up`)
  }

  /** After all else, since their first names must be there. A link to what was lost is lost. */
  async makeLinks(): Promise<void> {
    const { plan, target, signal, onEvent } = this.#options
    const lost = new Set(this.#lost)
    for (const entry of plan.entries) {
      if (entry.type !== "h") continue
      if (entry.link !== null && lost.has(entry.link)) {
        this.#lost.push(entry.path)
        onEvent({ type: "lost", path: entry.path, why: `it is another name of ${shown(entry.link)}` })
      } else await target.make(entry, signal)
    }
  }

  /** Reads every restored file again. */
  async compare(): Promise<void> {
    const { plan, target, signal } = this.#options
    let index = 0
    for (const entry of plan.entries) {
      const state = this.#state[index++]
      if (entry.type !== "f" || entry.sha256 === null || state !== 1) continue
      if ((await digestOf(target.read(entry, signal))) !== entry.sha256)
        throw new BackupError("differs", `${shown(entry.path)}: what was written reads back differently`, {
          hint: "suspect the disk or memory of this machine; restore to another one",
        })
    }
  }

  #problem(problem: TargetProblem): void {
    this.#problems.push(problem)
    this.#options.onEvent({ type: "problem", problem })
  }

  #report(): void {
    this.#options.onEvent({ type: "progress", files: this.#files, bytes: this.#bytes, volumes: this.#volumes })
  }

  result(problems: readonly TargetProblem[]): Omit<RestoreResult, "erased"> {
    for (const problem of problems) this.#problem(problem)
    return {
      files: this.#files,
      bytes: this.#bytes,
      resumed: this.#resumed,
      lost: this.#lost,
      problems: this.#problems,
    }
  }
}

/** The plaintext of a volume, or what is wrong with it. */
type Opened = Buffer | BackupError

/** While one volume is written, the next is fetched and opened. */
const WIDTH = 2
const EMPTY = hash("sha256", "")

const shown = (path: string): string => escapeControl(fromByteString(path))

async function digestOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const digest = createHash("sha256")
  for await (const piece of pieces) digest.update(piece)
  return digest.digest("hex")
}
