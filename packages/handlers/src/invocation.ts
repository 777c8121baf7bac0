// One invocation of a function that backs up: the event, one backup as far as the time allows, the reply. A backup that takes
// longer ends as a checkpoint, and the next invocation goes on from there; one that gets nowhere is an error, since it would
// go on for ever.

import { randomBytes } from "node:crypto"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { BackupError, escapeControl, fromByteString, patterns } from "@backup-cloud/format"
import { backupSource, type SourceEvent } from "backup-cloud/parts/backup"
import { errorsOf, metricsLine } from "backup-cloud/parts/emf"
import { Machine } from "backup-cloud/parts/machine"
import type { Logger } from "pino"
import * as v from "valibot"
import { loggedError, openLog } from "./log.ts"
import { openPlace } from "./place.ts"

/** Other members are let through, so that a reply can be the next event. */
const eventSchema = v.object({
  source: v.pipe(v.string(), v.regex(patterns.name)),
  /** How many invocations went before. */
  continuation: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 0),
})

export interface Reply {
  readonly source: string
  readonly run: string
  /** `continues`: the function is to be called again, with `continuation` as it is here. */
  readonly outcome: "complete" | "partial" | "continues"
  readonly continuation: number
  /** Entries of the run so far. */
  readonly files: number
  readonly bytes: number
  /** Sealed bytes that this invocation added to the archive. */
  readonly stored: number
  /** Entries that could not be read. */
  readonly errors: number
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly now: () => Date
  /** Is given each line of the log with its end. */
  readonly write: (line: string) => void
  /** Milliseconds until the invocation is cut off. */
  readonly remaining: () => number
}

/** Of the time that there is, the part that is left for the end of a run, and the most of it: sealing and storing what is under way. */
const END_PART = 1 / 2
const MOST_END_MS = 120_000
/** An invocation that is cut off all the same loses no more than this. */
const CHECKPOINT_MINUTES = 5
/** OpenPGP.js opens a volume whole, to prove it, and takes five times its size for that. */
const VOLUME_BYTES = 16_777_216
/** Left for the error, where the end was not reached in time. */
const LAST_WORDS_MS = 500

/**
 * Throws as `backupSource`; `incomplete` if the run failed; `unavailable` if it got nowhere or time ran out before anything was
 * committed; `usage` for another event than it must be.
 */
export async function invocation(event: unknown, surroundings: Surroundings): Promise<Reply> {
  const { now, write } = surroundings
  const parsed = v.safeParse(eventSchema, event)
  if (!parsed.success) throw new BackupError("usage", `the event is not like {"source": "docs"}; nothing was backed up`)
  const { source, continuation } = parsed.output
  const log = openLog(write, source)
  const started = now().getTime()
  const seconds = (): number => (now().getTime() - started) / 1000
  log.info({ event: "invoked", continuation })
  try {
    const result = await backUp(source, surroundings, log)
    write(`${metricsLine(source, result, seconds(), now())}\n`)
    if (result.outcome === "failed")
      throw new Counted(
        "incomplete",
        `run ${result.run} of ${source} failed: what it read broke off; it is kept as failed`,
      )
    if (result.outcome === "checkpoint" && !result.advanced) throw noProgress(source, result.run)
    const continues = result.outcome === "checkpoint"
    const reply: Reply = {
      ...{ source, run: result.run },
      outcome: result.outcome === "checkpoint" ? "continues" : result.outcome,
      continuation: continuation + (continues ? 1 : 0),
      ...{ files: result.entries, bytes: result.bytes, stored: result.stored, errors: errorsOf(result) },
    }
    log.info({ event: "result", ...reply, seconds: seconds() })
    return reply
  } catch (error) {
    if (!(error instanceof Counted)) write(`${metricsLine(source, null, seconds(), now())}\n`)
    log.error({ event: "error", ...loggedError(error) })
    throw error
  }
}

/** What the metrics have already. */
class Counted extends BackupError {}

async function backUp(name: string, { env, now, remaining }: Surroundings, log: Logger) {
  const identity = env["BACKUP_CLOUD_IDENTITY"]
  if (identity === undefined)
    throw new BackupError("usage", "BACKUP_CLOUD_IDENTITY is not set; nothing was backed up", {
      hint: "set it to ssm:/PATH, as given to backup-cloud source keygen --identity",
    })
  using time = timeLimits(remaining())
  await using machine = new Machine({
    archive: env["BACKUP_CLOUD_ARCHIVE"] ?? null,
    archiveHint: "set BACKUP_CLOUD_ARCHIVE, such as to ssm:/",
    ...{ identity, openpgp: "js", env, cwd: "/", now, signal: time.signal },
    home: join(tmpdir(), "backup-cloud"),
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
  })
  try {
    const trust = await machine.trust({ strict: true })
    return await backupSource(machine, trust, {
      name,
      source: async () => openPlace((await machine.identity?.source())?.place, env),
      checkpointMinutes: CHECKPOINT_MINUTES,
      // What a function has is a part of one processor; memory is what counts.
      workers: 1,
      volumeBytes: VOLUME_BYTES,
      onEvent: logger(log),
      stop: time.stop,
    })
  } catch (error) {
    // Whatever an abort makes of what was under way.
    throw time.signal.aborted ? time.signal.reason : error
  }
}

/** When to stop reading, and when to give up. */
function timeLimits(remaining: number): Disposable & { readonly stop: AbortSignal; readonly signal: AbortSignal } {
  const stop = new AbortController()
  const end = new AbortController()
  const why = new BackupError("unavailable", "the function's time ran out", {
    hint: "give it more time or memory; what was committed before is built on when it is called again",
  })
  const timers = [
    setTimeout(
      () => {
        stop.abort()
      },
      remaining - Math.min(MOST_END_MS, remaining * END_PART),
    ),
    setTimeout(() => {
      end.abort(why)
    }, remaining - LAST_WORDS_MS),
  ]
  return {
    ...{ stop: stop.signal, signal: end.signal },
    [Symbol.dispose]() {
      timers.forEach(clearTimeout)
    },
  }
}

function noProgress(source: string, run: string): BackupError {
  return new Counted(
    "unavailable",
    `run ${run} of ${source} read nothing to its end and stored no content before the time was up; it is a checkpoint`,
    { hint: "what is read is too large or too slow for a function: give it more time, or back it up in a container" },
  )
}

function logger(log: Logger): (event: SourceEvent) => void {
  return (event) => {
    if (event.event === "progress") return
    if (event.event === "unread") {
      log.warn({ ...event, path: escapeControl(fromByteString(event.path)) })
      return
    }
    if (event.event === "started" || event.event === "committed") log.info(event)
    else log.warn(event)
  }
}
