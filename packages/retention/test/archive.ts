// An archive with runs over years, by a clock that a test moves; and a whole look at it, plan and expiry.

import { type ExpiredRun, type KeepRule, names } from "@backup-cloud/format"
import { memoryStore, type Store } from "@backup-cloud/store"
import { memoryInMemory, type Problem, readExpiries, setKeep, setRules, verifyArchive } from "@backup-cloud/trust"
import {
  type Committed,
  collect,
  digest,
  makeArchive,
  RECOVER_TEXT,
  signal,
  type TestArchive,
} from "../../trust/test/archive.ts"
import {
  type ApplyInput,
  applyExpiry,
  DAY,
  type ExpiryPlan,
  type ExpiryResult,
  type PlanInput,
  planExpiry,
  type Sightings,
  type SurveyInput,
  survey,
} from "../src/index.ts"

const START = Date.parse("2026-01-01T12:00:00Z")

export interface Years {
  readonly archive: TestArchive
  readonly clock: { now: Date }
  /** By day since the start. */
  readonly runs: ReadonlyMap<number, Committed>
  /** Commits one more run. */
  run(day: number, more?: Partial<Parameters<TestArchive["commit"]>[0]>): Promise<Committed>
}

export const at = (day: number): Date => new Date(START + day * DAY)
export const idOf = (day: number): string =>
  `${at(day)
    .toISOString()
    .replace(/[-:]|\.000/g, "")}-00000001`

/** The source `docs` with a rule, and a run on each of `days`; each run uses volume 2 of the one before it. */
export async function years(
  days: readonly number[],
  rule: Partial<KeepRule> | null,
  open: (now: () => Date) => Promise<Store> = async (now) => memoryStore({ now }),
): Promise<Years> {
  const clock = { now: at(0) }
  const archive = await makeArchive(await open(() => clock.now))
  await archive.addSource("docs")
  await archive.amend([], setRules({ horizon_days: 20, grace_days: 10, retention_days: 1 }))
  const none = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within_days: 0, minimum: 1 }
  if (rule !== null) await archive.amend([], setKeep({ source: "docs", ...none, ...rule }))
  const runs = new Map<number, Committed>()
  let before: Committed | null = null
  const run: Years["run"] = async (day, more) => {
    clock.now = at(day)
    const uses = before === null ? [] : [{ run: before.run, sums: before.sums, volumes: "2", catalogues: "" }]
    const previous = before === null ? [] : [before.line]
    before = await archive.commit({ source: "docs", run: idOf(day), previous, uses, ...more })
    runs.set(day, before)
    return before
  }
  for (const day of days) await run(day)
  return { archive, clock, runs, run }
}

export interface Look extends PlanInput {
  readonly plan: ExpiryPlan
  readonly sightings: Sightings
}

/** What an administrator sees on that day. */
export async function lookOn(given: Years, day: number, more: Partial<SurveyInput & PlanInput> = {}): Promise<Look> {
  given.clock.now = at(day)
  const trust = await given.archive.load()
  const reader = more.reader ?? given.archive.store
  const expiries = await readExpiries({ trust, reader, signal })
  const now = at(day)
  const memory = memoryInMemory()
  const seen = await survey({
    ...{ trust, reader, expiries, memory, before: null, despiteProblems: false, now, signal },
    ...more,
  })
  const input = { policy: trust.policy, sources: seen.sources, proved: new Set<string>(), now, ...more }
  return { ...input, plan: planExpiry(input), sightings: seen.sightings }
}

export async function expireOn(given: Years, day: number, more: Partial<ApplyInput> = {}): Promise<ExpiryResult> {
  const { store } = given.archive
  const { plan, now } = await lookOn(given, day)
  const trust = await given.archive.load()
  const expiries = await readExpiries({ trust, reader: store, signal })
  const { signer } = given.archive.admin
  return await applyExpiry({
    ...{ trust, expiries, store, plan, signer, now, signal, onEvent: () => undefined },
    ...more,
  })
}

/** Keeps all objects as they are now; the function that it gives puts them back, with their times. */
export async function keep({ archive, clock }: Years): Promise<() => Promise<void>> {
  const { store } = archive
  const kept: { name: string; arrived: Date; bytes: Uint8Array }[] = []
  for (const { name, arrived } of await collect(store.list("", signal)))
    kept.push({ name, arrived, bytes: await archive.read(name) })
  return async () => {
    for (const { name } of await collect(store.list("", signal))) await store.remove(name, signal)
    for (const { name, arrived, bytes } of kept) {
      clock.now = arrived
      await store.create(name, [bytes], digest(bytes), signal)
    }
  }
}

/** As the command does it: everything is read. */
export async function verified({ archive }: Years): Promise<string[]> {
  const trust = await archive.load()
  const { problems } = await verifyArchive({
    ...{ trust, reader: archive.store, quick: false, memory: memoryInMemory(), width: 4, signal },
    expiries: await readExpiries({ trust, reader: archive.store, signal }),
    unsigned: new Map([["RECOVER.txt", digest(RECOVER_TEXT)]]),
    onEvent: () => undefined,
  })
  return problems.map(({ fault, object }: Problem) => `${fault} ${object}`)
}

/** Base names of the sealed objects that are there of a run. */
export async function sealedOf({ archive }: Years, day: number): Promise<string[]> {
  const folder = names.runDirectory("docs", idOf(day))
  const all = (await archive.list()).filter((name) => name.startsWith(folder)).map((name) => name.slice(folder.length))
  return all.filter((base) => base.endsWith(".gpg"))
}

export const daysOf = (runs: readonly Pick<ExpiredRun, "run">[]): number[] =>
  runs.map(({ run }) => {
    const text = run.replace(/^(....)(..)(..)T(..)(..)(..)Z.*$/, "$1-$2-$3T$4:$5:$6Z")
    return (Date.parse(text) - START) / DAY
  })
