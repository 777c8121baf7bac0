// One drill: a run is restored into a scratch place and compared with its catalogue, the controls are tried, and it is loaded
// and checked where that is asked for; what a restore takes is timed. What comes out is a signed result, passed or failed, which says why.
//
// A drill that could not be carried out, since the archive was away, no release opens the run or somebody stopped it, is
// none: it throws and leaves no result.

import { join } from "node:path"
import {
  BackupError,
  type CatalogueEntry,
  type DrillResult,
  type DrillRule,
  type DrillTrial,
  drillCodec,
  erasureFile,
  exitCode,
  type Fault,
  FORMAT,
  fromByteString,
  type Target,
  type TargetProblem,
  timeText,
  toByteString,
} from "@backup-cloud/format"
import {
  catalogueEntries,
  openRoot,
  planRestore,
  type RestorePlan,
  type RunReader,
  restore,
} from "@backup-cloud/restore"
import { type Comparer, compareTree, type Difference } from "./compare.ts"
import { tryControls } from "./controls.ts"
import { firstByte } from "./first-byte.ts"

export interface Drill {
  readonly archive: string
  /** Of the form of a run id. */
  readonly id: string
  readonly view: RunReader
  /** When the newest run that may be restored began: what is newer would be lost. */
  readonly newest: Date
  /** `archive`, or the id of the medium that is read. */
  readonly from: string
  /** What the policy asks of restores of this source; `null` for nothing. */
  readonly rule: DrillRule | null
  /** An empty folder for what is restored; whoever made it removes it. */
  readonly scratch: string
  /** Restores into a directory. */
  readonly target: (root: string) => Target
  /** Whether it gives files their owners. */
  readonly owner: boolean
  /** Unless given, by file system and catalogue. */
  readonly compare?: Comparer
  /** Brings the run into a server as well, and compares what it counts; a BackupError says that it is not as it was. */
  readonly load?: (loading: Loading) => Promise<void>
  /** The owner's own check of what was restored. @returns whether it found all well */
  readonly check?: (root: string) => Promise<boolean>
  /** Fingerprint of who signs the result. */
  readonly operator: string
  readonly now: () => Date
  readonly onEvent: (event: DrillEvent) => void
  readonly signal: AbortSignal
}

export interface Loading {
  readonly view: RunReader
  readonly plan: RestorePlan
  /** May be read again. */
  readonly entries: () => AsyncIterable<CatalogueEntry>
  /** Where the run was restored to as files. */
  readonly root: string
}

export type DrillEvent =
  | { readonly event: "step"; readonly step: "restore" | "compare" | "load" | "check" | "controls" }
  | { readonly event: "progress"; readonly bytes: number; readonly files: number; readonly plan: RestorePlan }
  | ({ readonly event: "difference" } & Difference)
  /** What the restore, a load or a check came to. `why` is for people, and may name files. */
  | { readonly event: "trouble"; readonly why: string }

export interface DrillReport {
  readonly result: DrillResult
  /** What is gravest about it; `null` if it passed. */
  readonly fault: Fault | null
}

/** Throws as the above says. */
export async function drill(job: Drill): Promise<DrillReport> {
  const work = new Work(job)
  try {
    await work.run()
  } catch (error) {
    job.signal.throwIfAborted()
    if (!(error instanceof BackupError) || none.includes(error.fault)) throw error
    work.broke(error)
  }
  return work.report()
}

/** Of what says nothing about the archive. */
const none: readonly Fault[] = ["usage", "refused", "unavailable", "conflict", "expired"]

class Work {
  readonly #job: Drill
  readonly #started: Date
  readonly #checks = new Map<string, boolean>()
  readonly #reasons: string[] = []
  #controls: readonly DrillTrial[] = []
  #problems: readonly TargetProblem[] = []
  #differences = 0
  #firstByte = 0
  /** Milliseconds of what a restore on a bad day takes as well. */
  #total = 0
  #fault: Fault | null = null

  constructor(job: Drill) {
    this.#job = job
    this.#started = job.now()
  }

  async run(): Promise<void> {
    const { load, check, scratch } = this.#job
    const folder = join(scratch, "tree")
    const loading = await this.#timed("restore", async () => await this.#restore(folder))
    const sample = await this.#step("compare", async () => await this.#compare(loading))
    // Before the owner's check, which may write where it likes.
    if (sample === null) this.#fails("differs", "the run has no content, so that nothing is shown by it")
    else await this.#step("controls", () => this.#tryControls(loading, sample))
    if (load !== undefined) await this.#timed("load", () => this.#load(load, loading))
    if (check !== undefined) await this.#timed("check", () => this.#check(check, folder))
  }

  async #restore(folder: string): Promise<Loading> {
    const { view, target, signal, now, onEvent } = this.#job
    const root = await openRoot(view, signal)
    const entries = () => catalogueEntries(view, root, signal)
    const plan = await planRestore(entries, null)
    const watched = firstByte(target(folder), () => {
      this.#firstByte = since(this.#started, now())
    })
    const result = await restore({
      ...{ view, plan, target: watched, what: "drill", signal },
      onEvent(event) {
        if (event.type === "progress") onEvent({ event: "progress", bytes: event.bytes, files: event.files, plan })
      },
    })
    this.#problems = result.problems
    return { view, plan, entries, root: folder }
  }

  /** Tells what differs; the smallest file that has content, with its chunks. */
  async #compare({ root, entries }: Loading): Promise<CatalogueEntry | null> {
    const { owner, signal, view, onEvent, compare = compareTree } = this.#job
    // What deletes rows lies beside a dump until it is loaded.
    const beside = new Set(view.erasing.sql.map(({ number }) => erasureFile(number)))
    let sample: CatalogueEntry | null = null
    /** What was not whole when it was backed up. */
    const broken = new Set<string>()
    const passing = async function* () {
      for await (const entry of entries()) {
        const size = entry.type === "f" && entry.chunks.length > 0 ? entry.size : Infinity
        if (size < (sample?.size ?? Infinity)) sample = entry
        if (entry.attributes.has("error")) broken.add(entry.path)
        yield entry
      }
    }
    const onDifference = (difference: Difference): void => {
      this.#differences++
      onEvent({ event: "difference", ...difference })
    }
    await compare({ root: toByteString(root), entries: passing(), owner, whole: true, beside, onDifference, signal })
    const unmade = this.#problems.filter(({ path, expected }) => !expected && !broken.has(path))
    for (const { path, why } of unmade) onEvent({ event: "trouble", why: `${fromByteString(path)}: ${why}` })
    this.#checked("restored", unmade.length === 0, "something could not be restored as it was")
    this.#checked("files", this.#differences === 0, `${this.#differences} differences from the catalogue`)
    return sample
  }

  async #tryControls({ view, entries, root }: Loading, sample: CatalogueEntry): Promise<void> {
    const { scratch, target, signal, compare = compareTree } = this.#job
    const job = { view, entries, sample, root: toByteString(root), scratch, target, compare, signal }
    this.#controls = await tryControls(job)
    for (const { name, outcome } of this.#controls)
      if (outcome === "failed") this.#fails("alarm", `the control ${name} did not fail as it must`)
  }

  async #load(load: NonNullable<Drill["load"]>, loading: Loading): Promise<void> {
    try {
      await load(loading)
      this.#checked("databases", true, "")
    } catch (error) {
      this.#job.signal.throwIfAborted()
      if (!(error instanceof BackupError) || none.includes(error.fault)) throw error
      this.#job.onEvent({ event: "trouble", why: error.message })
      this.#checked("databases", false, "what was loaded into the server is not what was backed up")
    }
  }

  async #check(check: NonNullable<Drill["check"]>, folder: string): Promise<void> {
    this.#checked("owner", await check(folder), "the owner's own check failed")
  }

  async #step<T>(step: Extract<DrillEvent, { event: "step" }>["step"], work: () => Promise<T>): Promise<T> {
    this.#job.onEvent({ event: "step", step })
    return await work()
  }

  /** A step whose time is part of a restore's. */
  async #timed<T>(step: Extract<DrillEvent, { event: "step" }>["step"], work: () => Promise<T>): Promise<T> {
    const { now } = this.#job
    const began = now()
    try {
      return await this.#step(step, work)
    } finally {
      this.#total += since(began, now())
    }
  }

  #checked(name: string, passed: boolean, otherwise: string, fault: Fault = "differs"): void {
    this.#checks.set(name, passed)
    if (!passed) this.#fails(fault, otherwise)
  }

  #fails(fault: Fault, why: string): void {
    this.#reasons.push(why)
    // A fault's exit code is its gravity.
    if (this.#fault === null || exitCode[fault] > exitCode[this.#fault]) this.#fault = fault
  }

  /** The restore itself ended with `error`. Its message is not for the result, since it may name a file. */
  broke(error: BackupError): void {
    this.#job.onEvent({ event: "trouble", why: error.message })
    this.#checked("restored", false, `the restore ended as ${error.fault}`, error.fault)
  }

  async report(): Promise<DrillReport> {
    const { archive, id, view, from, rule, newest, operator, now } = this.#job
    const finished = now()
    const age = Math.floor(since(newest, finished) / 1000)
    const { rto_minutes: rto = 0 } = rule ?? {}
    // How old a medium may be is for the rules of media.
    const rpo = from === "archive" ? (rule?.rpo_minutes ?? 0) : 0
    const whole = this.#checks.get("restored") === true
    if (rto > 0 && whole)
      this.#checked("rto", this.#total <= rto * 60_000, `it took longer than ${rto} minutes`, "open-risk")
    if (rpo > 0) this.#checked("rpo", age <= rpo * 60, `the newest run is older than ${rpo} minutes`, "open-risk")
    const { source, run, receipt, commits } = view.run
    const result: DrillResult = {
      ...{ format: FORMAT, type: "drill", archive, id, created: timeText(finished), operator },
      ...{ source, run, sums: commits.at(-1)?.sums ?? "", from },
      ...{ started: timeText(this.#started), finished: timeText(finished) },
      outcome: this.#fault === null ? "passed" : "failed",
      ...{ entries: receipt.entries, bytes: receipt.bytes, differences: this.#differences },
      ...{ first_byte_ms: this.#firstByte, total_ms: this.#total, age_seconds: age },
      ...{ rto_minutes: rto, rpo_minutes: rpo },
      controls: [...this.#controls].sort(byName),
      checks: [...this.#checks].map(([name, passed]) => trial(name, passed)).sort(byName),
      reason: this.#reasons.join("; "),
    }
    // Whatever is wrong with it shows before anybody signs it.
    drillCodec.encode(result)
    return { result, fault: this.#fault }
  }
}

const trial = (name: string, passed: boolean): DrillTrial => ({ name, outcome: passed ? "passed" : "failed" })
const byName = (a: DrillTrial, b: DrillTrial): number => (a.name < b.name ? -1 : 1)

/** Whole milliseconds, 0 where a clock was put back. */
const since = (from: Date, to: Date): number => Math.max(0, to.getTime() - from.getTime())
