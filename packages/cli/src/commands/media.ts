// media: offline disks. What a command does with a disk the package does; here are options, questions and words.

import { resolve } from "node:path"
import { BackupError, escapeControl } from "@backup-cloud/format"
import { DiskAlarm, initDisk, isMountPoint, type PreparedSync, prepareSync, sync } from "@backup-cloud/media"
import { checkExpiries } from "@backup-cloud/trust"
import type { Command } from "commander"
import { size } from "../io.ts"
import { diskAt, diskNamed, knownDisks, rememberDisk, statementId } from "../media-home.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"
import { addMediaReportCommands } from "./media-report.ts"
import { addScrubCommand } from "./media-scrub.ts"

type Options = Readonly<Record<string, unknown>>

export function addMediaCommands(root: Command, register: Register): void {
  const media = root.command("media").description("offline disks: copies that no network reaches")
  register(
    media,
    "init <disk>",
    "prepare an empty disk, where it is mounted",
    async (session, [path = ""], options) => {
      await init(session, path, options)
    },
  )
    .requiredOption("--label <text>", "what is written on it")
    .requiredOption("--location <text>", "where it will lie; the archive gets a code for it")
    .option("--custodian <text>", "who has it there; the archive gets a code for it", "")
    .option("--set <disk>", "another part of what that disk is too small for, by its label")
    .option("--parity <percent>", "recovery data for each run, made by par2", "0")
    .option("--key <fingerprint>", "your operator's key")
  register(
    media,
    "sync <disk>",
    "copy what it lacks, after looking for what vanished",
    async (session, [path = ""], options) => {
      await syncDisk(session, path, options)
    },
  )
    .option("--dry-run", "only say what would be copied")
    .option("--key <fingerprint>", "your operator's key")
  addScrubCommand(media, register)
  addMediaReportCommands(media, register)
}

async function init(session: Session, given: string, options: Options): Promise<void> {
  const { io } = session
  const path = resolve(io.cwd, given)
  const parity = Number(options["parity"])
  if (!Number.isSafeInteger(parity) || parity < 0 || parity > 100)
    throw new BackupError("usage", "--parity takes a whole number of per cent, up to 100; nothing was done")
  const trust = await session.trust()
  const { archive } = trust.archive
  const signer = session.personSigner(await session.operatorKey(trust, options["key"]))
  const known = await knownDisks(session, archive)
  if (known.some((each) => each.label === options["label"]))
    throw new BackupError("conflict", `a disk is called "${String(options["label"])}" already; nothing was done`, {
      hint: "give each disk a label of its own",
    })
  const set = typeof options["set"] === "string" ? (await diskNamed(session, archive, options["set"])).set : null
  if (!(await isMountPoint(path)))
    session.warn(`${given} is on the same file system as the folder above it: is the disk mounted?`)
  const wanted = {
    ...{ path, label: String(options["label"]), location: String(options["location"]) },
    ...{ custodian: String(options["custodian"]), set, parity },
  }
  const disk = await initDisk(wanted, {
    ...{ trust, reader: await session.store(), signer, known },
    ...{ now: io.now(), random: io.random, statement: statementId(session), signal: io.signal },
  })
  await rememberDisk(session, disk.identity)
  const { label, medium } = disk.identity
  session.say(`"${escapeControl(label)}" is prepared. Next: backup-cloud media sync ${given}`)
  session.event({ event: "result", medium, label })
}

async function syncDisk(session: Session, given: string, options: Options): Promise<void> {
  const { io } = session
  const trust = await session.trust()
  const disk = await diskAt(session, trust, given)
  const signer = session.personSigner(await session.operatorKey(trust, options["key"]))
  session.doing("comparing the archive with what the disk remembers")
  const reader = await session.store()
  checkExpiries(await session.expiries(trust))
  const prepared = await prepareSync({ trust, reader, disk, signal: io.signal }).catch((error: unknown) => {
    for (const each of error instanceof DiskAlarm ? error.alarms : []) {
      session.say(`${each.fault.toUpperCase()}  ${escapeControl(each.object)}: ${escapeControl(each.why)}`)
      session.event({ event: "alarm", ...each })
    }
    throw error
  })
  const { plan } = prepared
  if (options["dryRun"] === true) {
    tellPlan(session, prepared)
    return
  }
  const progress = session.progress(disk.identity.label, "objects")
  const items = plan.steps.reduce((sum, step) => sum + step.objects.length, 0)
  const done = { bytes: 0, items: 0 }
  const result = await sync(prepared, {
    ...{ signer, now: io.now, statement: statementId(session) },
    onEvent(event) {
      session.event({ ...event })
      if (event.event === "object") {
        done.bytes += event.bytes
        done.items++
        progress?.update(done, { bytes: plan.bytes, items })
      }
      if (event.event === "problem")
        session.say(`${event.fault.toUpperCase()}  ${escapeControl(event.object)}: ${escapeControl(event.why)}`)
    },
    signal: AbortSignal.any([io.signal, io.stop]),
  })
  const label = escapeControl(disk.identity.label)
  session.say(`"${label}": copied ${result.objects} objects of ${size(result.bytes)}, read back and compared.`)
  if (result.through.has("cache")) session.warn("this file system gives no way to read past the cache of this machine")
  const { objects, bytes } = result
  session.event({ event: "result", objects, bytes, problems: result.problems.length, left: plan.left })
  endOfSync(prepared, result.problems.length)
}

function tellPlan(session: Session, { plan }: PreparedSync): void {
  for (const step of plan.steps) {
    const part = step.holding === "part" ? ", a part of it" : ""
    session.say(`${step.source}@${step.run}  ${step.objects.length} objects of ${size(step.bytes)}${part}`)
  }
  for (const each of plan.left) session.say(`${each.source}@${each.run}  finds no room: ${size(each.bytes)}`)
  session.event({ event: "result", plan })
}

/** Throws what is left to do as a fault: damage in the archive, runs that found no room. */
function endOfSync({ plan, disk }: PreparedSync, problems: number): void {
  if (problems > 0)
    throw new BackupError("tampered", `${problems} problems in the archive, listed above; all else was copied`, {
      hint: "run `backup-cloud verify`; other disks may have what is damaged",
    })
  if (plan.left.length === 0) return
  throw new BackupError(
    "incomplete",
    `${plan.left.length} runs found no room on "${disk.identity.label}"; what is there is whole`,
    { hint: `prepare another disk for the rest: backup-cloud media init DISK --set "${disk.identity.label}" …` },
  )
}
