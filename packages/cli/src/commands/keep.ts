// policy keep, hold and release-hold: which runs stay.

import { BackupError, escapeControl, expectName, type KeepRule, timeText } from "@backup-cloud/format"
import { addHold, clearKeep, releaseHold, setKeep } from "@backup-cloud/trust"
import type { Command } from "commander"
import type { Register } from "../program.ts"
import { changePolicy } from "../publish.ts"
import type { Session } from "../session.ts"

type Options = Readonly<Record<string, unknown>>

export function addKeepCommands(root: Command, register: Register): void {
  const policy = root.commands.find((command) => command.name() === "policy")
  if (policy === undefined) throw new TypeError("the command policy comes before its parts")
  register(
    policy,
    "keep <name>",
    "which runs of a source stay; all of them until this is said",
    async (session, args, options) => {
      await keep(session, args[0] ?? "", options)
    },
  )
    .option("--last <n>", "the newest runs, one a day while there are enough days", "0")
    .option("--hourly <n>", "the first run of each of the last hours", "0")
    .option("--daily <n>", "of each of the last days", "0")
    .option("--weekly <n>", "of each of the last weeks, from Monday", "0")
    .option("--monthly <n>", "of each of the last months", "0")
    .option("--yearly <n>", "of each of the last years", "0")
    .option("--within-days <n>", "all of the last days", "0")
    .option("--minimum <n>", "never fewer complete runs than these", "1")
    .option("--everything", "no rule: every run stays")
  register(
    policy,
    "hold <name>",
    "keep NAME@RUN-ID, or all runs of NAME, whatever the rules say",
    async (session, args, options) => {
      await hold(session, args[0] ?? "", options)
    },
  )
    .requiredOption("--name <text>", "what for, such as a case or a ticket")
    .option("--until <date>", "such as 2027-06-30, through that day in UTC; until it is released unless given")
  register(policy, "release-hold <name>", "end a hold on NAME@RUN-ID or NAME", async (session, args, options) => {
    const [source, run] = heldName(args[0] ?? "")
    await changePolicy(session, [releaseHold({ source, run, name: options["name"] as string })], [], undefined)
  }).requiredOption("--name <text>", "as it was given")
}

const PERIODS = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "withinDays"]

async function keep(session: Session, source: string, options: Options): Promise<void> {
  expectName("name", source)
  if (options["everything"] === true) {
    await changePolicy(session, [clearKeep(source)], [], undefined)
    return
  }
  const count = (name: string): number => countOf(options, name)
  const rule: KeepRule = {
    source,
    ...{ last: count("last"), hourly: count("hourly"), daily: count("daily"), weekly: count("weekly") },
    ...{
      monthly: count("monthly"),
      yearly: count("yearly"),
      within_days: count("withinDays"),
      minimum: count("minimum"),
    },
  }
  if (rule.minimum < 1) throw new BackupError("usage", "--minimum is 1 at least; nothing was changed")
  const said = [...PERIODS, "minimum"].some((name) => count(name) > (name === "minimum" ? 1 : 0))
  if (!said)
    throw new BackupError("usage", "say which runs stay, as with --daily 14 --monthly 12; nothing was changed", {
      hint: "--everything takes the rule away, --minimum 2 keeps only as many as that",
    })
  await changePolicy(session, [setKeep(rule)], [], undefined)
}

function countOf(options: Options, name: string): number {
  const text = options[name] as string
  if (/^(?:0|[1-9][0-9]{0,5})$/.test(text)) return Number(text)
  const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  throw new BackupError("usage", `--${option} takes a number, not ${escapeControl(text)}; nothing was changed`)
}

async function hold(session: Session, name: string, options: Options): Promise<void> {
  const [source, run] = heldName(name)
  const trust = await session.trust()
  if (run !== "") {
    const found = (await session.runs(trust, source)).runs.find((each) => each.run === run)
    if (found === undefined)
      throw new BackupError("not-found", `${source}@${run}: is not there; nothing was changed`, {
        hint: "`backup-cloud runs` lists what there is",
      })
    if (found.expired !== null)
      throw new BackupError(
        "expired",
        `${source}@${run}: was taken away by expiry list ${found.expired}; nothing was changed`,
      )
  }
  const until = untilOf(options["until"])
  await changePolicy(session, [addHold({ source, run, name: options["name"] as string, until })], [], undefined)
}

/** `NAME` or `NAME@RUN-ID`; the run id is empty for the first. */
function heldName(name: string): [string, string] {
  const [source = "", run, ...rest] = name.split("@")
  if (rest.length > 0) throw new BackupError("usage", `"${escapeControl(name)}" is neither NAME nor NAME@RUN-ID`)
  return [expectName("name", source), run === undefined ? "" : expectName("run", run)]
}

/** The end of that day. */
function untilOf(date: unknown): string {
  if (date === undefined) return ""
  const parsed =
    typeof date === "string" && /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(date) ? new Date(`${date}T23:59:59Z`) : null
  if (parsed !== null && !Number.isNaN(parsed.getTime())) return timeText(parsed)
  throw new BackupError("usage", "--until takes a date such as 2027-06-30; nothing was changed")
}
