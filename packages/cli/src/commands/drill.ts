// drill: a restore for practice, which is timed, compared, seen to fail where it must, and signed; and what drills have shown.

import { tmpdir } from "node:os"
import { resolve } from "node:path"
import { type DrillEvent, newestStart, overdueDrills } from "@backup-cloud/drill"
import { BackupError, type DrillResult, escapeControl, fromByteString } from "@backup-cloud/format"
import { chooseForDrill, type DrillKey, drillRun, type FinishedDrill, verifiedSources } from "backup-cloud/parts/drill"
import type { ChosenRun } from "backup-cloud/parts/run-name"
import type { Command } from "commander"
import { ownersCheck, serverLoad } from "../drill-checks.ts"
import { estimates, listDrills, publishResults, resultsOf } from "../drill-results.ts"
import { size } from "../io.ts"
import { collect, listOf } from "../options.ts"
import { ageWords } from "../overdue.ts"
import { passwordPlace } from "../passwords.ts"
import type { Register } from "../program.ts"
import { chooseRun } from "../run-name.ts"
import type { Session } from "../session.ts"
import { shellWord } from "../words.ts"

type Options = Readonly<Record<string, unknown>>

export function addDrillCommand(root: Command, register: Register): void {
  register(root, "drill [run]", "restore for practice: timed, compared, signed", async (session, [run], options) => {
    const modes = ["list", "estimate", "publish", "due"].filter((name) => options[name] !== undefined)
    if (modes.length > 1) throw new BackupError("usage", `--${modes.join(" and --")} are two things; nothing was done`)
    if (options["list"] === true) await listDrills(session, run)
    else if (options["estimate"] === true) await estimates(session, run, keyOf(options))
    else if (options["publish"] !== undefined) await publishResults(session, listOf(options, "publish"))
    else if (options["due"] === true) await drillDue(session, options)
    else if (run !== undefined) await drillNamed(session, run, options)
    else throw new BackupError("usage", "name what is drilled: SOURCE, or a run of it; nothing was done")
  })
    .addHelpText("after", "\nNAME alone is one of its runs, chosen at random.")
    .option("--release <file>", "what a key holder answered; repeat", collect)
    .option("--verifier", "open the run with the key of a verifier, without a release")
    .option("--key <fingerprint>", "your operator's or verifier's key")
    .option("--scratch <dir>", "where there is room for what is restored, which is removed afterwards")
    .option("--check <command>", "a shell command of your own, run where it is restored: exits with 0 if all is well")
    .option("--to <server>", "load it into postgres://… or mysql://… as well, and count rows")
    .option("--overwrite", "of mysql: replace what an earlier drill left there")
    .option("--password-file <file>", "of the server: where the password is")
    .option("--password-command <command>", "of the server: what puts it out")
    .option("--due", "every source that the policy asks to be drilled by now")
    .option("--list", "what drills have shown, and what is overdue")
    .option("--estimate", "how long a full restore would take")
    .option("--publish <file>", "put a result that lies in a file into the archive; repeat", collect)
}

/** `null` where nothing says by whose right. */
function keyOf(options: Options): DrillKey | null {
  const files = listOf(options, "release")
  if (options["verifier"] === true) {
    if (files.length === 0) return { by: "verifier", key: options["key"] }
    throw new BackupError("usage", "a verifier needs no release; nothing was drilled")
  }
  return files.length === 0 ? null : { by: "release", files, key: options["key"] }
}

async function drillNamed(session: Session, name: string, options: Options): Promise<void> {
  const opened = keyOf(options)
  if (!name.includes("@") && opened?.by === "release")
    throw new BackupError("usage", "a release is for one run: name it; nothing was drilled", {
      hint: `backup-cloud drill ${escapeControl(name)}, without a release, chooses a run and says how to ask for it`,
    })
  const chosen = name.includes("@") ? await chooseRun(session, name) : await chooseForDrill(session, name, opened)
  if (opened === null) {
    tellHowToAsk(session, chosen, options)
    return
  }
  const failed = failureOf(await drillChosen(session, chosen, opened, options))
  if (failed !== null) throw failed
}

/** The first half of a drill with a release: a key holder is asked as for any restore. */
function tellHowToAsk(session: Session, { run }: ChosenRun, options: Options): void {
  const name = `${run.source}@${run.run}`
  const files = { request: `${name}.request`, release: `${name}.release` }
  const rest = (["scratch", "check", "to"] as const).flatMap((option) =>
    typeof options[option] === "string" ? [`--${option} ${shellWord(options[option])}`] : [],
  )
  session.say(`To be drilled: ${name}. Ask a key holder, as for any restore:`)
  session.say(`  backup-cloud request ${name} --reason "drill" --out ${files.request}`)
  session.say("Then, with what comes back:")
  session.say(`  ${["backup-cloud drill", name, "--release", files.release, ...rest].join(" ")}`)
  session.event({ event: "chosen", source: run.source, run: run.run })
}

/** Drills each source that is due and that this verifier is enrolled for; the first failure is the command's. */
async function drillDue(session: Session, options: Options): Promise<void> {
  const opened = keyOf(options)
  if (opened?.by !== "verifier")
    throw new BackupError("usage", "--due drills whatever is due, which no release is for; nothing was drilled", {
      hint: "on the machine of a verifier: backup-cloud drill --due --verifier",
    })
  const trust = await session.trust()
  const overdue = await overdueDrills(trust, resultsOf(session, trust), session.io.now())
  const mine = await verifiedSources(session, trust, opened.key)
  const due = overdue.filter(({ rule }) => mine.has(rule.source))
  for (const { rule } of overdue)
    if (!mine.has(rule.source)) session.note(`${rule.source} is due as well, and needs a release`)
  if (due.length === 0) session.say("No drill is due.")
  const failures: BackupError[] = []
  for (const { rule } of due) {
    try {
      const chosen = await chooseForDrill(session, rule.source, opened)
      const failed = failureOf(await drillChosen(session, chosen, opened, options))
      if (failed !== null) failures.push(failed)
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      // The others are due all the same.
      session.note(`${rule.source}: ${escapeControl(error.message)}`)
      failures.push(error)
    }
  }
  const [first] = failures
  if (first !== undefined) throw first
  session.event({ event: "due", drilled: due.map(({ rule }) => rule.source) })
}

async function drillChosen(
  session: Session,
  chosen: ChosenRun,
  opened: DrillKey,
  options: Options,
): Promise<FinishedDrill> {
  const { io } = session
  const { run } = chosen
  const signal = AbortSignal.any([io.signal, io.stop])
  const { check, to, scratch } = options as Readonly<Record<string, string | undefined>>
  const server = { password: passwordPlace(options, io.cwd), overwrite: options["overwrite"] === true }
  const load = to === undefined ? {} : { load: await serverLoad(session, to, server, signal) }
  const checks = check === undefined ? {} : { check: await ownersCheck(session, check, signal) }
  const { dirTarget } = await import("@backup-cloud/source-dir")
  session.doing(`opening ${run.source}@${run.run}`)
  const finished = await drillRun(session, chosen, {
    ...load,
    ...checks,
    opened,
    scratch: resolve(io.cwd, scratch ?? tmpdir()),
    target: (root) => dirTarget({ root, owner: session.isRoot }),
    owner: session.isRoot,
    onEvent: teller(session, run.source),
    signal,
  })
  tell(session, finished, newestStart(chosen.all))
  return finished
}

const STEPS = {
  restore: "restoring",
  compare: "comparing what was restored with the catalogue",
  load: "loading into the server",
  check: "running the owner's check",
  controls: "trying what must fail",
} as const

/** Differences that are told by name; all are counted. */
const MOST_TOLD = 100

function teller(session: Session, source: string): (event: DrillEvent) => void {
  const progress = session.progress(source, "files")
  let told = 0
  return (event) => {
    if (event.event === "step") session.doing(STEPS[event.step])
    else if (event.event === "trouble") session.note(escapeControl(event.why))
    else if (event.event === "progress")
      progress?.update({ bytes: event.bytes, items: event.files }, { bytes: event.plan.bytes, items: event.plan.files })
    else {
      const path = fromByteString(event.path)
      if (told++ < MOST_TOLD) session.note(`${escapeControl(path)} ${event.what}`)
      session.event({ ...event, path })
    }
  }
}

function tell(session: Session, { result, file, published }: FinishedDrill, newest: Date): void {
  const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`
  session.say(`${result.source}@${result.run}: ${result.outcome}${result.reason === "" ? "" : `: ${result.reason}`}`)
  for (const [what, trials] of [
    ["checks", result.checks],
    ["controls", result.controls],
  ] as const)
    session.say(`  ${what}: ${trials.map(({ name, outcome }) => `${name} ${outcome}`).join(", ") || "none"}`)
  session.say(
    `  first byte after ${seconds(result.first_byte_ms)}, all after ${seconds(result.total_ms)}${objective(result.rto_minutes)}, about ${size(result.bytes)}`,
  )
  const age = ageWords(result.age_seconds * 1000)
  session.say(`  newest run of ${newest.toISOString()}: ${age} old${objective(result.rpo_minutes)}`)
  session.say(
    published
      ? `  The signed result is in the archive, and in ${file}`
      : `  The signed result is in ${file}; put it into the archive: backup-cloud --archive ARCHIVE drill --publish ${file}`,
  )
  session.event({ ...result, event: "drilled", file, published })
}

const objective = (minutes: number): string => (minutes === 0 ? "" : ` (objective: ${ageWords(minutes * 60_000)})`)

function failureOf({ fault, result }: FinishedDrill): BackupError | null {
  if (fault === null) return null
  return new BackupError(fault, `the drill of ${result.source}@${result.run} failed: ${result.reason}`, {
    hint: hintOf(result),
  })
}

function hintOf({ controls, checks }: DrillResult): string {
  if (controls.some(({ outcome }) => outcome === "failed"))
    return "this program did not notice what it must notice: trust none of its drills, install it anew, report it"
  if (checks.some(({ name, outcome }) => name === "restored" && outcome === "failed"))
    return "backup-cloud verify says what is damaged; look for it on another copy; restore --salvage brings the rest"
  return "what is above says what to mend; then drill again"
}
