// request: an operator asks a key holder.

import { BackupError, escapeControl } from "@backup-cloud/format"
import { makeRequest, neededVolumes, planRestore, type RequestInput, usedRuns } from "@backup-cloud/restore"
import { globs } from "@backup-cloud/source-dir"
import type { Command } from "commander"
import { duration } from "../durations.ts"
import { writeNamed } from "../files.ts"
import { collect, listOf } from "../options.ts"
import type { Register } from "../program.ts"
import { openRun } from "../releases.ts"
import { chooseRun } from "../run-name.ts"
import type { Session } from "../session.ts"
import { objectRequest } from "./object.ts"

export function addRequestCommand(root: Command, register: Register): void {
  register(
    root,
    "request [run]",
    "ask a key holder for a release: the whole run, its catalogue, chosen paths, or one sealed file",
    async (session, [run], options) => {
      if (typeof options["object"] === "string") await requestObject(session, run, options["object"], options)
      else await request(session, run ?? "", options)
    },
  )
    .requiredOption("--reason <text>", "why; the holder reads it")
    .requiredOption("--out <file>", "where to put the request")
    .option("--catalogue", "only the list of what there is")
    .option("--path <glob>", "only these paths; needs a release of the catalogue; repeat", collect)
    .option("--release <file>", "the release of the catalogue", collect)
    .option("--object <file>", "one file that a script sealed, or that an earlier system left, instead of a run")
    .option("--without-erasures", "also for what was erased and must not come back; the holder has to agree to that")
    .option("--expires <time>", "how long the holder may take, such as 48h or 2d", "48h")
    .option("--key <fingerprint>", "your operator's key")
}

async function request(session: Session, name: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const { io } = session
  const paths = listOf(options, "path")
  const catalogue = options["catalogue"] === true
  if (catalogue && paths.length > 0)
    throw new BackupError("usage", "--catalogue and --path are two requests, one after the other")
  let ask: RequestInput["ask"] = { kind: catalogue ? "catalogue" : "run" }
  let chosen = paths.length === 0 ? await chooseRun(session, name) : null
  if (paths.length > 0) {
    if (listOf(options, "release").length === 0) {
      throw new BackupError("usage", "to choose paths the catalogue must be released first; no request was made", {
        hint: `backup-cloud request ${escapeControl(name)} --catalogue --reason … --out …, then --release FILE`,
      })
    }
    const open = await openRun(session, name, options)
    const plan = await planRestore(() => open.entries(), globs(paths, []))
    if (plan.entries.length === 0)
      throw new BackupError("not-found", `nothing in ${escapeControl(name)} matches; no request was made`)
    session.note(`${plan.files} files of ${plan.bytes} bytes match, in ${plan.volumes.length} volumes`)
    ask = { kind: "volumes", needed: neededVolumes(plan) }
    chosen = open
  }
  if (chosen === null) return
  const { trust, run, all } = chosen
  const operator = session.personSigner(await session.operatorKey(trust, options["key"]))
  const message = await makeRequest({
    trust,
    reader: await session.store(),
    run,
    runs: usedRuns(run, all.runs),
    ask,
    erasures: (await session.erasures(trust)).length,
    withoutErasures: options["withoutErasures"] === true,
    reason: options["reason"] as string,
    expires: new Date(io.now().getTime() + duration(options["expires"] as string, "--expires")),
    operator,
    id: io.random(16),
    now: io.now(),
    signal: io.signal,
  })
  await giveOut(session, message, options["out"] as string, run.run, ask.kind)
}

async function requestObject(
  session: Session,
  run: string | undefined,
  file: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { io } = session
  if (options["withoutErasures"] === true)
    throw new BackupError(
      "usage",
      "no erasure is about a sealed file; leave --without-erasures out; no request was made",
    )
  if (run !== undefined || options["catalogue"] === true || listOf(options, "path").length > 0)
    throw new BackupError("usage", "--object asks for one sealed file and for nothing of a run; no request was made")
  const asked = await objectRequest(session, file, {
    reason: options["reason"] as string,
    expires: new Date(io.now().getTime() + duration(options["expires"] as string, "--expires")),
    id: io.random(16),
    now: io.now(),
    signal: io.signal,
    key: options["key"],
  })
  await giveOut(session, asked.message, options["out"] as string, asked.run, "object")
}

async function giveOut(session: Session, message: Uint8Array, out: string, run: string, kind: string): Promise<void> {
  await writeNamed(out, message, 0o600)
  session.say(
    `The request is in ${out}. A key holder answers it with: backup-cloud keyholder approve ${out} --out RELEASE`,
  )
  session.event({ event: "requested", run, kind, file: out })
}
