// Looks at an archive for a plan: what is judged of each source's runs, what the store has of them, and what this machine
// knows of when they arrived. It reads receipts and lists names; no sealed object is opened.

import { parseRunObject, type RunParts } from "@backup-cloud/format"
import type { ArchiveReader, ObjectInfo } from "@backup-cloud/store"
import {
  type Expiries,
  type JudgedRun,
  keepHeads,
  knownSources,
  type Problem,
  readRuns,
  type SourceRuns,
  type Trust,
  type TrustMemory,
} from "@backup-cloud/trust"
import { PartsFound } from "./parts.ts"
import { type Looked, look, type Seen } from "./sightings.ts"
import type { Sightings } from "./sightings-file.ts"
import type { RunState, SourceState, StateFolder } from "./state.ts"

export interface SurveyInput {
  readonly trust: Trust
  readonly reader: ArchiveReader
  readonly expiries: Expiries
  /** Of this machine: a run that it remembers and that is gone is an alarm. */
  readonly memory: TrustMemory
  /** What this machine saw when it last looked; `null` if it never did. */
  readonly before: Sightings | null
  /** Plan for sources with problems too; what has one stays. What vanished or cannot be read is no mere problem. */
  readonly despiteProblems: boolean
  readonly now: Date
  readonly signal: AbortSignal
}

export interface Survey {
  readonly sources: readonly SourceState[]
  /** To be kept for the next look. */
  readonly sightings: Sightings
}

interface Found {
  readonly runs: SourceRuns
  readonly present: ReadonlyMap<string, Present>
  readonly states: readonly StateFolder[]
  readonly alarms: readonly Problem[]
}

interface Present {
  readonly parts: PartsFound
  /** Of the newest object. */
  arrived: Date
  /** A receipt, sums or a signature is there. */
  proof: boolean
}

/** Throws as the store does. What is wrong with a source is in its state. */
export async function survey(input: SurveyInput): Promise<Survey> {
  const { trust, before, now, memory } = input
  const found: Found[] = []
  for (const source of knownSources(trust)) {
    const present = new Map<string, Present>()
    const { reader, expiries, signal } = input
    const onObject = (run: string, base: string, info: ObjectInfo): void => {
      note(present, run, base, info)
    }
    const runs = await readRuns(trust, reader, source, signal, { expiries, onObject })
    const states = await stateFolders(reader, source, signal)
    found.push({ runs, present, states, alarms: await keepHeads(memory, [runs]) })
  }
  const looked = look(before, found.flatMap(seenOf), now)
  return { sources: found.map((each) => sourceState(each, looked, input)), sightings: looked.sightings }
}

function note(present: Map<string, Present>, run: string, base: string, { arrived }: ObjectInfo): void {
  const found = present.get(run) ?? { parts: new PartsFound(), arrived, proof: false }
  present.set(run, found)
  found.parts.add(base)
  if (arrived > found.arrived) found.arrived = arrived
  const kind = parseRunObject(base)?.kind
  if (kind === "receipt" || kind === "sums" || kind === "signature") found.proof = true
}

async function stateFolders(reader: ArchiveReader, source: string, signal: AbortSignal): Promise<StateFolder[]> {
  const folders = new Map<string, Date>()
  for await (const { name, arrived } of reader.list(`state/${source}/`, signal)) {
    const run = name.split("/")[2] ?? ""
    const before = folders.get(run)
    if (before === undefined || arrived > before) folders.set(run, arrived)
  }
  return [...folders].map(([run, arrived]) => ({ run, arrived }))
}

function seenOf({ runs: { source, runs, unfinished }, present }: Found): Seen[] {
  return [
    ...runs.map(({ run, number, arrived }) => ({ source, run, number, arrived })),
    ...unfinished.map((run) => ({ source, run, number: 0, arrived: present.get(run)?.arrived ?? new Date(8.64e15) })),
  ]
}

function sourceState(found: Found, looked: Looked, input: SurveyInput): SourceState {
  const { runs, present, states } = found
  const { source } = runs
  const lost = looked.lost.filter((key) => key.startsWith(`${source}/`))
  const named = new Set(
    runs.runs.flatMap(({ receipt }) => [
      ...receipt.previous.map((line) => line.slice(0, line.indexOf(" "))),
      ...receipt.uses.map((use) => use.run),
    ]),
  )
  const orphans = runs.unfinished.map((run): RunState => {
    const there = present.get(run)
    const sound = there?.proof === false && !named.has(run) && !lost.includes(`${source}/${run}`)
    // Whichever is later: another object may have come since the run was first seen.
    const arrived = new Date(Math.max(looked.arrived(source, run).getTime(), there?.arrived.getTime() ?? 0))
    const has = (there?.parts ?? new PartsFound()).value()
    const expired = input.expiries.find(source, run)?.parts ?? null
    return { source, run, sums: "", arrived, outcome: "orphan", sound, uses: [], has, expired }
  })
  const judged = runs.runs.map((run) => judgedState(run, present.get(run.run), looked, input.expiries))
  return { source, runs: [...judged, ...orphans], states, blocked: blockedBy(found, lost, input) }
}

function judgedState(run: JudgedRun, there: Present | undefined, looked: Looked, expiries: Expiries): RunState {
  const parts = there?.parts ?? new PartsFound()
  for (const { receipt } of run.commits) for (const line of receipt.objects) parts.add(line.slice(0, line.indexOf(" ")))
  const has: RunParts = parts.value()
  const { source, receipt } = run
  return {
    ...{ source, run: run.run, sums: run.sumsDigest, arrived: looked.arrived(source, run.run) },
    ...{ outcome: receipt.outcome, sound: run.problems.length === 0, uses: receipt.uses, has },
    expired: expiries.find(source, run.run)?.parts ?? null,
  }
}

function blockedBy({ runs, alarms }: Found, lost: readonly string[], input: SurveyInput): string | null {
  const problems = [...alarms, ...runs.problems]
  const gone: Problem[] = lost.map((run) => ({
    ...{ fault: "tampered", object: `backup/${run}/` },
    why: "was signed when this machine last looked, and is not so far any more",
  }))
  const grave = [...problems.filter(({ fault }) => fault === "alarm" || fault === "unavailable"), ...gone]
  const mere = input.despiteProblems ? [] : problems
  const [first] = [...grave, ...mere]
  return first === undefined ? null : `${first.object}: ${first.why}`
}
