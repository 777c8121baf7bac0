// What a request asks for, held against what the receipts say: only objects that exist, and of earlier runs only what the
// receipt of the run names under `uses`.

import { names, parseRanges, type RequestKind, rangeNumbers, type Use, type Want } from "@backup-cloud/format"
import { type JudgedRun, refuse } from "./evidence.ts"

/** One object whose secret is asked for. */
export interface WantedObject {
  readonly run: string
  readonly name: string
  /** Bytes as stored. */
  readonly length: number
}

/** Throws `refused` unless every object of `wants` may go with a request of this kind for run `main`. */
export function checkWants(
  kind: RequestKind,
  wants: readonly Want[],
  main: JudgedRun,
  runs: ReadonlyMap<string, JudgedRun>,
): WantedObject[] {
  if (kind !== "run" && wants.length === 0) throw refuse("the request asks for nothing")
  const objects: WantedObject[] = []
  for (const want of wants) {
    checkKind(kind, want, main.run)
    if (want.run !== main.run)
      checkUse(
        want,
        main.last.uses.find((use) => use.run === want.run),
        main.run,
      )
    const run = runs.get(want.run)
    if (run === undefined) throw refuse(`the request brings no receipts of run ${want.run}`)
    for (const name of wantedNames(want)) {
      const object = run.objects.get(name)
      if (object === undefined) throw refuse(`backup/${main.source}/${want.run}/${name}: no receipt names it`)
      objects.push({ run: want.run, name, length: object.length })
    }
  }
  return objects
}

/** Base names, in order. */
function* wantedNames(want: Want): Generator<string> {
  if (want.root !== 0) yield names.root(want.root)
  for (const number of rangeNumbers(want.catalogues)) yield names.catalogue(number)
  for (const number of rangeNumbers(want.volumes)) yield names.volume(number)
}

function checkKind(kind: RequestKind, want: Want, main: string): void {
  const { run, root, volumes, catalogues } = want
  if (kind === "run" && run === main) throw refuse("a request for a whole run names objects of earlier runs only")
  if (kind === "catalogue" && volumes !== "") throw refuse("a request for a catalogue asks for volumes")
  if (kind === "volumes" && (root !== 0 || catalogues !== ""))
    throw refuse("a request for volumes asks for parts of a catalogue")
  if (root === 0 && volumes === "" && catalogues === "") throw refuse(`the request asks for nothing of run ${run}`)
}

function checkUse(want: Want, use: Use | undefined, main: string): void {
  if (use === undefined) throw refuse(`run ${main} uses nothing of run ${want.run}, but the request asks for it`)
  if (want.root !== 0) throw refuse(`the request asks for a root of run ${want.run}, which run ${main} does not use`)
  if (!contains(use.volumes, want.volumes) || !contains(use.catalogues, want.catalogues))
    throw refuse(`the request asks for more of run ${want.run} than run ${main} uses`)
}

/** Whether every number of the ranges `inner` is in `outer`. */
export function contains(outer: string, inner: string): boolean {
  const spans = parseRanges(outer) ?? []
  return (parseRanges(inner) ?? []).every(([first, last]) => spans.some(([a, b]) => a <= first && last <= b))
}
