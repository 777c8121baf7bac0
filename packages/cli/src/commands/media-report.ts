// media status, plan, rules, forget: which disk holds what, what to do next, what is asked of disks, and disks that are gone.

import { BackupError, escapeControl, type MediaRules, patterns } from "@backup-cloud/format"
import {
  foldStatements,
  type Medium,
  makeStatement,
  type Overview,
  overview,
  publishStatement,
  type RunState,
  readStatements,
  unstated,
  waysToRestore,
} from "@backup-cloud/media"
import type { Trust } from "@backup-cloud/trust"
import type { Command } from "commander"
import { size } from "../io.ts"
import { diskNamed, knownDisks, placeOf, shownDisk, statementId } from "../media-home.ts"
import type { Register } from "../program.ts"
import { changePolicy } from "../publish.ts"
import { chooseRun } from "../run-name.ts"
import type { Session } from "../session.ts"

type Options = Readonly<Record<string, unknown>>
/** Runs that are named; the others are counted. */
const SHOWN = 10

export function addMediaReportCommands(media: Command, register: Register): void {
  register(
    media,
    "status",
    "which runs are on how many disks in how many places; exits 0 only if the rules are kept",
    async (session) => {
      await status(session)
    },
  )
  register(
    media,
    "plan [run]",
    "which disk to plug in next; of a run, which disks bring it back",
    async (session, [run]) => {
      if (run === undefined) await plan(session)
      else await planRun(session, run)
    },
  )
  register(
    media,
    "rules",
    "what is asked of offline copies; signed by the administrator",
    async (session, _args, options) => {
      await rules(session, options)
    },
  )
    .requiredOption("--copies <number>", "of each run, the archive's own included")
    .requiredOption("--locations <number>", "in so many places, the archive's own included")
    .requiredOption("--offline <number>", "so many of them on disks")
    .requiredOption("--max-age <days>", "how long a run may wait for that, and a disk for its next sync, such as 35d")
  register(
    media,
    "forget <disk>",
    "a disk is lost or destroyed: what it held counts no more",
    async (session, [name = ""], options) => {
      await forget(session, name, options)
    },
  )
    .option("--destroyed", "it was destroyed, and nobody will find it")
    .option("--key <fingerprint>", "your operator's key")
}

interface Looked {
  readonly trust: Trust
  readonly media: ReadonlyMap<string, Medium>
  readonly view: Overview
  readonly shown: (id: string) => string
  readonly problems: readonly string[]
}

async function look(session: Session): Promise<Looked> {
  const trust = await session.trust()
  const { signal, now } = session.io
  const store = await session.store()
  const statements = await readStatements(trust, [store], signal)
  const media = foldStatements(statements)
  const found = await unstated(trust, store, media, signal)
  const known = await knownDisks(session, trust.archive.archive)
  const shown = (id: string): string => {
    const medium = media.get(id)
    return medium === undefined ? id : shownDisk(medium, known)
  }
  const expiries = await session.expiries(trust)
  const expired = (source: string, run: string): boolean => expiries.find(source, run) !== null
  const view = overview(found.runs, media, trust.policy.media ?? null, now(), expired)
  const problems = [...statements.problems, ...found.problems].map(({ object, why }) => `${object}: ${why}`)
  return { trust, media, view, shown, problems }
}

async function status(session: Session): Promise<void> {
  const { trust, view, shown, problems } = await look(session)
  for (const { medium, runs, lacks, days, overdue } of view.media) {
    const age = medium.synced === null ? "never synced" : `seen ${days.toFixed(0)} days ago`
    const late = overdue ? "  OVERDUE" : ""
    session.say(`${shown(medium.id)}  ${runs} runs, lacks ${lacks}, ${age}, ${size(medium.last.free)} free${late}`)
    session.event({ event: "medium", id: medium.id, runs, lacks, days, overdue, free: medium.last.free })
  }
  session.say(`${view.runs} runs in the archive, ${view.nowhere.length} of them on no disk.`)
  const wrong = [...problems]
  const need = trust.policy.media
  if (need === undefined) session.note("The policy asks nothing of disks: see backup-cloud media rules.")
  for (const state of view.failing.slice(0, SHOWN)) wrong.push(`${name(state)}: ${inWords(state)}`)
  if (view.failing.length > SHOWN) wrong.push(`and ${view.failing.length - SHOWN} more runs with too few copies`)
  for (const { medium, overdue } of view.media) if (overdue) wrong.push(`${shown(medium.id)}: is to be synced`)
  session.event({
    event: "result",
    runs: view.runs,
    nowhere: view.nowhere.length,
    failing: view.failing.length,
    problems: wrong,
  })
  for (const each of view.vanished.slice(0, SHOWN))
    session.say(`VANISHED  ${name(each)}: is on ${each.media.map(shown).join(", ")}`)
  for (const line of wrong) session.say(`RISK  ${line}`)
  if (view.vanished.length > 0)
    throw new BackupError(
      "alarm",
      `${view.vanished.length} runs vanished from the archive, the first are listed above`,
      {
        hint: "keep these disks unplugged, and find out who deleted the runs; they restore from the disks",
      },
    )
  if (wrong.length > 0)
    throw new BackupError("open-risk", `${wrong.length} things are not as the rules ask, listed above`, {
      hint: "backup-cloud media plan says what to plug in next",
    })
}

async function plan(session: Session): Promise<void> {
  const { view, shown, media } = await look(session)
  const [next] = view.media
  for (const each of view.vanished.slice(0, SHOWN))
    session.say(`${name(each)} is gone from the archive: ${each.media.map(shown).join(", ")}`)
  if (next === undefined) session.say("There is no disk yet: backup-cloud media init DISK --label … --location …")
  else if (next.lacks === 0 && !next.overdue) session.say("Every disk is up to date.")
  else session.say(`Plug in next: ${shown(next.medium.id)}, which lacks ${next.lacks} runs.`)
  for (const [what, count] of view.losses) {
    const gone =
      what === "archive" ? "the archive" : media.has(what) ? shown(what) : `the place ${await placeOf(session, what)}`
    session.say(`Without ${gone}: ${count} runs would be on no disk.`)
    session.event({ event: "loss", what, runs: count })
  }
  session.event({ event: "result", next: next?.medium.id ?? null, vanished: view.vanished })
}

async function planRun(session: Session, given: string): Promise<void> {
  const { media, shown } = await look(session)
  const [source = "", id = ""] = given.split("@")
  // A run that is gone from the archive has to be named by its id.
  const run = patterns.run.test(id) ? { source, run: id } : (await chooseRun(session, given)).run
  const ways = waysToRestore(run, media)
  for (const { holding, disks } of ways) {
    const how = holding === "part" ? "has a part of it" : disks.length > 1 ? "bring it back together" : "brings it back"
    session.say(`${disks.map(shown).join(" and ")} ${how}`)
    session.event({ event: "way", disks, holding })
  }
  if (ways.length === 0) throw new BackupError("not-found", `${escapeControl(given)}: is on no disk`)
}

async function rules(session: Session, options: Options): Promise<void> {
  const number = (option: string, least: number): number => {
    const value = Number(/^([0-9]{1,6})d?$/.exec(String(options[option]))?.[1] ?? Number.NaN)
    if (Number.isSafeInteger(value) && value >= least) return value
    const flag = option === "maxAge" ? "max-age" : option
    throw new BackupError("usage", `--${flag} takes a number from ${least}; nothing was changed`)
  }
  const media: MediaRules = {
    ...{ copies: number("copies", 1), locations: number("locations", 1), offline: number("offline", 0) },
    max_age_days: number("maxAge", 1),
  }
  await changePolicy(session, [(draft) => ({ ...draft, media })], [], undefined)
}

async function forget(session: Session, given: string, options: Options): Promise<void> {
  const { trust, media, shown } = await look(session)
  const { signal, now } = session.io
  const id = media.has(given) ? given : (await diskNamed(session, trust.archive.archive, given)).medium
  const medium = media.get(id)
  if (medium === undefined || medium.gone)
    throw new BackupError("not-found", `${escapeControl(given)}: the archive knows no such disk; nothing was done`)
  const destroyed = options["destroyed"] === true
  const signer = session.personSigner(await session.operatorKey(trust, options["key"]))
  await session.confirm(`Is ${shown(id)} ${destroyed ? "destroyed" : "lost"}? What it holds will not count any more.`)
  const { last, set } = medium
  const identity = {
    archive: last.archive,
    medium: id,
    set,
    location_code: last.location,
    custodian_code: last.custodian,
  }
  const action = destroyed ? "destroy" : "forget"
  const statement = makeStatement({
    ...{ identity, action, operator: signer.fingerprint, now: now(), before: medium, mates: last.mates },
    ...{ used: last.bytes, free: last.free, policy: last.policy, expiries: last.expiries, erasures: last.erasures },
    ...{ heads: last.heads, runs: medium.runs.values(), problems: 0 },
  })
  await publishStatement(statement, statementId(session), signer, [await session.store()], signal)
  session.say(`${shown(id)} is forgotten.`)
  session.event({ event: "result", medium: id, action })
}

const name = ({ source, run }: Pick<RunState, "source" | "run">): string => `${source}@${run}`

const inWords = ({ copies, locations, offline }: RunState): string =>
  `has ${copies} copies in ${locations} places, ${offline} of them on disks`
