// coverage: what an AWS account has that no source backs up. It asks AWS, the configuration of this machine and those of others.

import { resolve } from "node:path"
import type { Covered, Place as CoveredPlace, NamedPlace } from "@backup-cloud/coverage"
import { BackupError, escapeControl } from "@backup-cloud/format"
import type { Command } from "commander"
import { type ConfigFile, readYaml, type SourceConfig } from "../config.ts"
import { installed } from "../installed.ts"
import { checkedPlace, type Place, postgresHost } from "../kinds.ts"
import { collect, listOf } from "../options.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

export function addCoverageCommand(root: Command, register: Register): void {
  register(
    root,
    "coverage",
    "what an AWS account has and no source backs up; exits 0 only if that is nothing",
    async (session, _args, options) => {
      await show(session, options)
    },
  )
    .option("--region <name>", "which region; that of the machine's AWS configuration unless given")
    .option("--also <file>", "backup-cloud.yaml of another machine; repeat", collect)
    .option("--stack <name>", "only what this CloudFormation stack made, its ARNs one a line")
}

async function show(session: Session, options: Readonly<Record<string, unknown>>): Promise<void> {
  const { coverage, inventory, ofStack, stackResources } = await installed(
    "coverage",
    () => import("@backup-cloud/coverage"),
  )
  const { io } = session
  const configs: Pick<ConfigFile, "sources" | "left_out">[] = [session.config]
  for (const file of listOf(options, "also")) {
    const path = resolve(io.cwd, file)
    const config = await readYaml(path)
    if (config === null) throw new BackupError("not-found", `${path} is not there; nothing was looked at`)
    configs.push(config)
  }
  const places = (await Promise.all(configs.map((config) => placesOf(session, config)))).flat()
  const leftOut = new Map(configs.flatMap((config) => Object.entries(config.left_out ?? {})))
  if (session.config.archive !== null) {
    const bucket = /^s3:\/\/([^/?]+)/.exec(session.config.archive)?.[1]
    if (bucket !== undefined) leftOut.set(`arn:aws:s3:::${bucket}`, "the archive itself")
  }
  const access = accessOf(session, options["region"])
  session.doing("looking at the account")
  const stack = options["stack"]
  const made = typeof stack === "string" ? await stackResources(access, stack, io.signal) : null
  const kinds = made === null ? undefined : [...new Set(made.map(({ kind }) => kind))]
  if (kinds?.length === 0) {
    session.say("The stack has nothing that may hold data.")
    session.event({ event: "result", resources: 0, uncovered: 0, unlisted: [] })
    return
  }
  const { resources, unlisted } = await inventory(access, io.signal, kinds)
  const all = coverage(made === null ? resources : ofStack(resources, made), places, leftOut)
  for (const each of all) tell(session, each, made !== null)
  for (const { kind, why } of unlisted)
    session.warn(`nobody knows what there is of ${kind}: it cannot be listed (${escapeControl(why)})`)
  const uncovered = all.filter(({ state }) => state === "part" || state === "not-covered").length
  session.event({ event: "result", resources: all.length, uncovered, unlisted })
  if (uncovered > 0 || unlisted.length > 0) {
    throw new BackupError(
      "open-risk",
      `of ${all.length} resources, ${uncovered} are backed up by no source or in part, and ${unlisted.length} kinds could not be listed`,
      {
        hint: "enrol sources; say with covers: [ARN] what a command backs up, with left_out: { ARN: reason } what is meant to be lost",
      },
    )
  }
  session.say(`All ${all.length} resources are backed up, or left out for a reason.`)
}

const WORDS = { covered: "covered", part: "IN PART", "left-out": "left out", "not-covered": "NOT COVERED" } as const

function tell(session: Session, { resource, state, by, reason }: Covered, arns: boolean): void {
  const { kind, arn, name } = resource
  const why = reason ?? by.join(", ")
  const label = arns ? arn : `${kind.padEnd(15)} ${name}`
  session.say(`${WORDS[state].padEnd(12)} ${escapeControl(label)}${why === "" ? "" : `  (${escapeControl(why)})`}`)
  session.event({ event: "resource", kind, arn, name, state, by, reason })
}

function accessOf({ io }: Session, region: unknown) {
  const endpoint = io.env["AWS_ENDPOINT_URL"]
  return {
    ...(typeof region === "string" ? { region } : {}),
    ...(endpoint === undefined ? {} : { endpoint }),
  }
}

async function placesOf(session: Session, { sources = {} }: Pick<ConfigFile, "sources">): Promise<NamedPlace[]> {
  const found: NamedPlace[] = []
  for (const [source, config] of Object.entries(sources)) {
    for (const pattern of config.covers ?? []) found.push({ source, place: { kind: "arn", pattern } })
    const place = coveredBy(await checkedPlace(config.url, session.io.env), config)
    if (place !== null) found.push({ source, place })
  }
  return found
}

function coveredBy(place: Place, config: SourceConfig): CoveredPlace | null {
  switch (place.kind) {
    case "s3": {
      const { index, count } = config.shard ?? {}
      const part = index === undefined || count === undefined ? "some" : { index, count }
      return { kind: "s3", bucket: place.bucket, prefix: place.prefix, shard: config.shard === undefined ? null : part }
    }
    case "ssm":
      return { kind: "ssm", path: place.path }
    case "mysql":
      return { kind: "host", host: place.host, all: place.schemas.length === 0 }
    case "postgres":
      return { kind: "host", ...postgresHost(place.url) }
    default:
      return null
  }
}
