// Media: what a disk says of itself, and what an operator states about it (docs/format.md, section 15).
//
// A statement tells no names of places and persons, only codes that stand for them on the disks and at home.

import * as v from "valibot"
import { ascending, codec, digest, documentSchema, fingerprint, integer, name, positive, text, time } from "./json.ts"
import { catalogues, volumes } from "./members.ts"
import { MAX_ERASURES, MAX_EXPIRIES, MAX_NUMBERS, MAX_POLICIES, patterns } from "./names.ts"

const id = v.pipe(v.string(), v.regex(patterns.archive))
const code = v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/))
const from0 = (most: number) => v.pipe(integer, v.maxValue(most))

/** Name of the identity on a disk; it is never in the archive. */
export const MEDIUM = "medium.json"

export const identityCodec = codec(
  documentSchema("identity", {
    medium: id,
    created: time,
    label: v.pipe(text, v.nonEmpty()),
    set: id,
    location: text,
    location_code: code,
    custodian: text,
    custodian_code: code,
    parity: v.pipe(integer, v.maxValue(100)),
  }),
)
/** What a disk says of itself. `parity` in per cent; `set` of a disk that is no part of one is its own id. */
export type MediumIdentity = ReturnType<typeof identityCodec.decode>

export const actions = ["init", "sync", "scrub", "forget", "destroy"] as const
export type MediumAction = (typeof actions)[number]

/** How far a medium restores a run: by itself, with the others of its set, not without others, not at all any more. */
export const holdings = ["alone", "set", "part", "none"] as const
export type Holding = (typeof holdings)[number]

/** What of a run lies on a medium. */
export interface HeldRun {
  readonly source: string
  readonly run: string
  /** The highest receipt's whose objects are meant. */
  readonly number: number
  readonly holding: Holding
  /** Ranges of the run's own volumes that are there, and of its catalogue volumes. */
  readonly volumes: string
  readonly catalogues: string
}

/** A line of a statement's `runs`. */
export function heldLine({ source, run, number, holding, volumes, catalogues }: HeldRun): string {
  return `${source} ${run} ${number} ${holding} ${volumes === "" ? "-" : volumes} ${catalogues === "" ? "-" : catalogues}`
}

/** Reads a line of `runs`; `null` for what is none. */
export function parseHeldLine(line: string): HeldRun | null {
  const [source = "", run = "", digits = "", holding, ...ranges] = line.split(" ")
  const number = Number(digits)
  const [volumesHere = "", cataloguesHere = ""] = ranges.map((s) => (s === "-" ? "" : s))
  const how = holdings.find((each) => each === holding)
  if (how === undefined || !patterns.name.test(source) || !patterns.run.test(run)) return null
  if (!v.is(numberOfReceipt, number) || !v.is(volumes, volumesHere) || !v.is(catalogues, cataloguesHere)) return null
  const held = { source, run, number, holding: how, volumes: volumesHere, catalogues: cataloguesHere }
  return heldLine(held) === line ? held : null
}
const numberOfReceipt = v.pipe(positive, v.maxValue(MAX_NUMBERS))

/** The first two words: source and run. */
const runOf = (line: string): string => line.split(" ", 2).join(" ")

export const mediumCodec = codec(
  documentSchema("medium", {
    medium: id,
    number: positive,
    action: v.picklist(actions),
    created: time,
    operator: fingerprint,
    set: id,
    mates: ascending(id, (mate) => mate),
    location: code,
    custodian: code,
    bytes: integer,
    free: integer,
    policy: from0(MAX_POLICIES),
    expiries: from0(MAX_EXPIRIES),
    erasures: from0(MAX_ERASURES),
    heads: ascending(
      v.strictObject({ source: name, run: v.pipe(v.string(), v.regex(patterns.run)), sums: digest }),
      (head) => `${head.source} ${head.run}`,
    ),
    runs: ascending(
      v.pipe(
        v.string(),
        v.check((line) => parseHeldLine(line) !== null, "must say what of a run is there"),
      ),
      runOf,
    ),
    problems: integer,
  }),
)
/**
 * A signed statement about a medium. `number` counts those of one medium from 1; `runs` are the lines that changed since
 * the one before, so all of them together say what is there. `bytes` are those of the archive's objects, `free` what is
 * left, both rounded down to MiB.
 */
export type MediumStatement = ReturnType<typeof mediumCodec.decode>
