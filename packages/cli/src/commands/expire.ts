// expire: what no rule keeps, shown to anybody, and taken away by the administrator.

import { join } from "node:path"
import { BackupError, escapeControl, parseRunObject, type RunParts } from "@backup-cloud/format"
import {
  applyExpiry,
  destroyAfter,
  type ExpiryEvent,
  type ExpiryPlan,
  type ExpiryResult,
  expireDisk,
  type PlanInput,
  planExpiry,
  type RunState,
  readSightings,
  survey,
  writeSightings,
} from "@backup-cloud/retention"
import type { Store } from "@backup-cloud/store"
import { checkExpiries, type Expiries, knownSources, readRuns, type Trust } from "@backup-cloud/trust"
import type { Command } from "commander"
import { provedRuns } from "../drill-results.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

type Options = Readonly<Record<string, unknown>>

export function addExpireCommand(root: Command, register: Register): void {
  register(root, "expire", "what no keep rule keeps; --apply takes it away", async (session, _args, options) => {
    if (options["apply"] === true && options["dryRun"] === true)
      throw new BackupError("usage", "--apply and --dry-run exclude one another; nothing was done")
    const input = await lookAt(session, options["despiteProblems"] === true)
    if (typeof options["disk"] === "string") await onDisk(session, input, options["disk"], options["apply"] === true)
    else await expire(session, input, options)
  })
    .option("--dry-run", "only show it, as without --apply")
    .option("--apply", "sign the list and remove what it names: the administrator alone")
    .option("--despite-problems", "of sources with something wrong too; what is wrong stays")
    .option("--disk <path>", "an offline copy: what goes from it, or after which day to destroy it")
}

interface Looked extends PlanInput {
  readonly trust: Trust
  readonly expiries: Expiries
  readonly store: Store
}

async function lookAt(session: Session, despiteProblems: boolean): Promise<Looked> {
  const trust = await session.trust()
  const expiries = await session.expiries(trust)
  checkExpiries(expiries)
  const store = await session.store()
  const { now: clock, signal } = session.io
  const now = clock()
  const file = join(session.home, "sightings.json")
  const { archive } = trust.archive
  const before = await readSightings(file, archive)
  if (before !== null && Date.parse(before.looked) > now.getTime())
    throw new BackupError(
      "refused",
      `this machine looked at the archive on ${before.looked}, which is still to come; nothing was done`,
      {
        hint: "set the clock of this machine",
      },
    )
  session.doing("reading receipts and checking their signatures")
  const looked = await survey({
    ...{ trust, expiries, before, despiteProblems, now, signal, reader: store, memory: session.memory },
  })
  await writeSightings(file, archive, looked.sightings)
  const proved = await provedRuns(session, trust)
  return { trust, expiries, store, policy: trust.policy, sources: looked.sources, proved, now }
}

async function expire(session: Session, looked: Looked, options: Options): Promise<void> {
  const plan = planExpiry(looked)
  for (const { object, why } of looked.expiries.problems) session.warn(`${object}: ${escapeControl(why)}`)
  showPlan(session, plan)
  if (options["apply"] !== true) {
    session.event({ event: "result", runs: plan.runs.length, applied: false })
    if (plan.runs.length > 0) session.say("Nothing was removed: --apply does it, by the administrator.")
    return
  }
  const { trust, expiries, store, now } = looked
  if (plan.runs.length > 0) await session.confirm(`Take all of that away, of ${plan.runs.length} runs, for ever?`)
  const result = await applyExpiry({
    ...{ trust, expiries, store, plan, now, home: session.memory, signal: session.io.signal },
    signer: session.personSigner(trust.administrator.fingerprint),
    onEvent: teller(session),
  })
  finish(session, result, session.archiveUrl)
}

const YOUNG = "younger than any that may expire"

function showPlan(session: Session, { runs, kept, passed, states }: ExpiryPlan): void {
  let young = 0
  const whole = new Set(passed.map(({ source }) => source))
  for (const { source, run, reasons } of kept) {
    session.event({ event: "keeps", source, run, reasons })
    if (whole.has(source)) continue
    if (reasons.some(({ why }) => why === YOUNG)) young++
    else session.say(`${source}@${run}  stays: ${reasons.map(({ why }) => escapeControl(why)).join(", ")}`)
  }
  for (const each of runs) {
    session.event({ event: "expires", ...each })
    session.say(
      `${each.source}@${each.run}  GOES: ${each.sums === "" ? "all of it, an interrupted run" : partsText(each)}`,
    )
  }
  for (const { source, why } of passed) {
    session.event({ event: "passed", source, why })
    session.say(`${source}: nothing goes: ${escapeControl(why)}`)
  }
  if (young > 0) session.say(`${young} runs are too young to expire.`)
  if (states.length > 0) session.say(`State of ${states.length} runs goes too, which nothing is restored from.`)
  session.say(runs.length === 0 ? "No run expires." : `Of ${runs.length} runs something goes.`)
}

function partsText({ key, roots, volumes, catalogues }: RunParts): string {
  const parts = [key ? "key" : "", roots ? "roots" : ""]
  parts.push(volumes === "" ? "" : `volumes ${volumes}`, catalogues === "" ? "" : `catalogues ${catalogues}`)
  return parts.filter((part) => part !== "").join(", ")
}

function teller(session: Session): (event: ExpiryEvent) => void {
  return (event) => {
    session.event({ ...event })
    if (event.event === "list") session.say(`Expiry list ${event.number} is signed: ${event.runs} runs.`)
    else if (event.event === "removed") session.doing(`removing ${event.object}`)
  }
}

function finish(session: Session, { lists, removed, kept }: ExpiryResult, where: string): void {
  for (const { object, until, why } of kept)
    session.say(
      until === null
        ? `STAYS ${object}: ${escapeControl(why)}`
        : `LOCKED until ${until.toISOString().slice(0, 10)}, with the rest of its run: ${object}`,
    )
  session.say(`Removed ${removed} objects from ${where}.`)
  session.event({ event: "result", lists, removed, kept: kept.length, applied: true })
  const refused = kept.filter(({ until }) => until === null)
  if (refused.length > 0)
    throw new BackupError(
      "refused",
      `${refused.length} things that the lists name could not be removed; they are listed above`,
      {
        hint: "run backup-cloud expire --apply again with the rights of the administrator; nothing needs to be put right before",
      },
    )
  if (kept.length > 0) session.say("What is locked goes when expire --apply runs after its date.")
}

async function onDisk(session: Session, looked: Looked, path: string, apply: boolean): Promise<void> {
  const { trust, expiries, store } = looked
  const disk = await session.openStore(path)
  const { signal } = session.io
  const held = await heldRuns(session, trust, disk)
  const gone = held.filter(({ source, run }) => expiries.find(source, run) !== null)
  if (apply) {
    if (gone.length > 0)
      await session.confirm(`Remove from ${path} what the archive's lists name, of ${gone.length} runs?`)
    const input = { trust, expiries, signal, archive: store, store: disk, onEvent: teller(session) }
    finish(session, await expireDisk(input), path)
    return
  }
  session.say(`${path} holds ${held.length} runs, and ${gone.length} of them have expired.`)
  const { after, open } = destroyAfter(looked, held)
  for (const { source, run, why } of open) session.say(`${source}@${run}  no date yet: ${escapeControl(why)}`)
  if (after === null) session.say(`No day can be told yet after which to destroy ${path}.`)
  else
    session.say(`Destroy ${path} after ${after.toISOString().slice(0, 10)}: no rule keeps anything on it from then on.`)
  session.event({ event: "result", runs: held.length, expired: gone.length, after: after?.toISOString() ?? null, open })
}

/** The runs that a disk could restore by itself: those of which it has a root. Every disk has all receipts. */
async function heldRuns(session: Session, trust: Trust, disk: Store): Promise<Pick<RunState, "source" | "run">[]> {
  const held: { source: string; run: string }[] = []
  for (const source of knownSources(trust)) {
    const roots = new Set<string>()
    const onObject = (run: string, base: string): void => {
      if (parseRunObject(base)?.kind === "root") roots.add(run)
    }
    const { runs } = await readRuns(trust, disk, source, session.io.signal, { onObject })
    held.push(...runs.filter(({ run }) => roots.has(run)).map(({ run }) => ({ source, run })))
  }
  return held
}
