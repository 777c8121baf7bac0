// What a run builds on: the listings that earlier runs left, where their chunks lie, and which of them may be used.

import { type ChunkRef, names, type Policy, type PolicySource, readChunkLines } from "@backup-cloud/format"
import type { JudgedRun, SourceRuns } from "@backup-cloud/trust"
import { ChunkIndex, Known, LEAST_INDEXED } from "./chunk-index.ts"
import { mayUse, Reuse } from "./reuse.ts"
import { type Flaw, flawOf, loadState, type State, type StateDeps } from "./state.ts"

/** Runs and numbers that are tried where the state of one can't be used: a run may have died between commit and state. */
const TRIES = 3

export interface LookBackDeps extends StateDeps {
  readonly policy: Policy
  readonly entry: PolicySource
  /** Judged runs of this source. */
  readonly earlier: SourceRuns
  /** When the run started. */
  readonly now: Date
  /** Told once for each run that should have been built on. `instead` is the run that is, `null` if none is. */
  readonly onFlaw: (flaw: Flaw & { readonly run: string; readonly instead: string | null }) => void
}

export interface Earlier {
  /** The one that counts more first. */
  readonly states: readonly State[]
  readonly reuse: Reuse
  /** Chunks that may be used where they lie. */
  readonly known: Known
  /** Chunks of catalogues that may be used where they lie, by id. */
  readonly texts: Map<string, ChunkRef>
}

interface Indexed {
  readonly state: State
  readonly index: ChunkIndex
  /** Bytes by run. */
  readonly bytes: ReadonlyMap<string, number>
}

/** Looks into the state of the runs that count. Throws as the store does, but for what a state lacks. */
export async function lookBack(deps: LookBackDeps): Promise<Earlier> {
  const { earlier, policy, entry, now, reader, signal } = deps
  const fit = earlier.runs.filter((run) => mayUse(run, policy, entry, now))
  const found: Indexed[] = []
  for (const candidates of wantedStates(fit)) {
    const usable = await firstUsable(deps, candidates)
    if (usable !== null) found.push(usable)
  }
  const sums = new Map<string, number>()
  for (const { bytes } of found) for (const [run, sum] of bytes) sums.set(run, (sums.get(run) ?? 0) + sum)
  // Runs by how many bytes of them are in use, most first: what comes after the 16th is stored again.
  const byId = new Map(fit.map((run) => [run.run, run]))
  const wanted = [...sums].sort(([, a], [, b]) => b - a).flatMap(([run]) => byId.get(run) ?? [])
  const reuse = await Reuse.open(wanted, policy, now, entry.name, reader, signal)
  const known = new Known((id) => {
    for (const { index } of found) {
      const place = index.get(id)
      if (place !== null && reuse.allows(id, place, names.volume)) return place
    }
    return null
  })
  const texts = new Map<string, ChunkRef>()
  for (const { state } of found) {
    for (const chunk of state.root.catalogue.chunks)
      if (reuse.allows(chunk.id, chunk, names.catalogue)) texts.set(chunk.id, chunk)
  }
  return { states: found.map(({ state }) => state), reuse, known, texts }
}

/** A state by its run and the number of the receipt that it belongs to. */
interface Candidate {
  readonly run: string
  readonly number: number
}

/**
 * The states whose listings count, each followed by what does where it can't be used: that of the last run that was
 * whole, and before it that of a checkpoint that came after. The chain says what came after, whatever the clocks said.
 */
function wantedStates(runs: readonly JudgedRun[]): Candidate[][] {
  const isCheckpoint = (run: JudgedRun): boolean => run.receipt.outcome === "checkpoint"
  const whole = runs.filter((run) => !isCheckpoint(run)).reverse()
  const checkpoint = runs.slice(-1).filter(isCheckpoint)
  // Each number of a run is a checkpoint that holds less than the next.
  const numbered = ({ run, number }: JudgedRun): Candidate[] =>
    Array.from({ length: Math.min(TRIES, number) }, (_, i) => ({ run, number: number - i }))
  return [checkpoint.flatMap(numbered), whole.flatMap(numbered).slice(0, TRIES)].filter((each) => each.length > 0)
}

/** The first of them that can be used; `null` if none can. */
async function firstUsable(deps: LookBackDeps, candidates: readonly Candidate[]): Promise<Indexed | null> {
  let first: (Flaw & { readonly run: string }) | null = null
  let usable: Indexed | null = null
  for (const { run, number } of candidates) {
    const loaded = await loadIndexed(deps, run, number)
    if ("state" in loaded) {
      usable = loaded
      break
    }
    first ??= { ...loaded, run }
  }
  if (first !== null) deps.onFlaw({ ...first, instead: usable?.state.root.run ?? null })
  return usable
}

/** A state with its chunks indexed, or why it can't be used. */
async function loadIndexed(deps: StateDeps, run: string, number: number): Promise<Indexed | Flaw> {
  const state = await loadState(deps, run, number)
  if ("why" in state) return state
  const index = new ChunkIndex()
  const bytes = new Map<string, number>()
  const count = (chunk: ChunkRef): void => {
    bytes.set(chunk.run, (bytes.get(chunk.run) ?? 0) + chunk.length)
  }
  state.root.catalogue.chunks.forEach(count)
  const enter = (chunk: ChunkRef): void => {
    count(chunk)
    if (chunk.length >= LEAST_INDEXED) index.set(chunk.id, chunk)
  }
  state.unfinished.forEach(enter)
  try {
    for await (const chunk of readChunkLines(state.catalogue())) enter(chunk)
  } catch (error) {
    return flawOf(error)
  }
  return { state, index, bytes }
}
