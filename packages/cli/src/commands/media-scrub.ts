// media scrub: reads a disk through, from a read-only mount, and makes again what rotted.

import { mkdir } from "node:fs/promises"
import { resolve } from "node:path"
import { BackupError, escapeControl } from "@backup-cloud/format"
import {
  type DamagedObject,
  type Disk,
  diskStore,
  expectPar2,
  expectReadOnly,
  foldStatements,
  makeStatement,
  publishStatement,
  readIdentity,
  readMemory,
  readStatements,
  repair,
  runKey,
  type ScrubResult,
  scrub,
  spaceOf,
} from "@backup-cloud/media"
import { loadTrust, memoryInMemory, newMemory } from "@backup-cloud/trust"
import type { Command } from "commander"
import { size } from "../io.ts"
import { rememberDisk, statementId } from "../media-home.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

type Options = Readonly<Record<string, unknown>>

export function addScrubCommand(media: Command, register: Register): void {
  register(
    media,
    "scrub <disk>",
    "read every byte of a disk that is mounted read-only; no key is needed",
    async (session, [path = ""], options) => {
      await scrubDisk(session, path, options)
    },
  )
    .option("--writable", "read it although it could be written to")
    .option("--repair-to <dir>", "put what par2 can make again into this folder; the disk stays as it is")
    .option("--record", "state in the archive what was found, as an operator")
    .option("--key <fingerprint>", "your operator's key, with --record")
}

async function scrubDisk(session: Session, given: string, options: Options): Promise<void> {
  const { io } = session
  const path = resolve(io.cwd, given)
  const identity = await readIdentity(path, io.signal)
  if (identity === null)
    throw new BackupError("not-found", `${given}: is no medium of this program; nothing was read`, {
      hint: "is it mounted?",
    })
  if (options["writable"] !== true) await expectReadOnly(path)
  const to = typeof options["repairTo"] === "string" ? resolve(io.cwd, options["repairTo"]) : null
  if (to !== null) await expectPar2(io.signal)
  const disk: Disk = { path, store: diskStore(path), identity }
  const { admin } = await session.remembered()
  const trust = await loadTrust({
    ...{ reader: disk.store, verifier: await session.verifier(), admin },
    ...{ home: memoryInMemory({ ...newMemory(admin), archive: identity.archive }), signal: io.signal },
  })
  await rememberDisk(session, identity)
  const progress = session.progress(identity.label, "objects")
  const [done, total] = [
    { bytes: 0, items: 0 },
    { bytes: 0, items: 0 },
  ]
  session.doing("reading receipts and checking their signatures")
  const result = await scrub({
    ...{ disk, trust, memory: await readMemory(disk) },
    onEvent(event) {
      if (event.event === "problem") {
        session.say(`${event.fault.toUpperCase()}  ${escapeControl(event.object)}: ${escapeControl(event.why)}`)
        session.event({ ...event })
      } else if (event.event === "source") {
        total.bytes += event.bytes
        total.items += event.objects
      } else {
        done.bytes += event.bytes
        done.items++
        progress?.update(done, total)
      }
    },
    signal: AbortSignal.any([io.signal, io.stop]),
  })
  if (to !== null && result.damaged.length > 0) await repairAll(session, disk, result.damaged, to)
  if (options["record"] === true) await record(session, disk, result, options["key"])
  const { objects, bytes, problems } = result
  session.event({ event: "result", objects, bytes, problems: problems.length })
  const label = escapeControl(identity.label)
  if (problems.length === 0) {
    session.say(`"${label}": read ${objects} objects of ${size(bytes)}: all as signed.`)
    return
  }
  const fault = problems.every((problem) => problem.fault === "incomplete") ? "incomplete" : "tampered"
  throw new BackupError(fault, `"${label}" has ${problems.length} problems, listed above`, {
    hint: "media scrub --record notes them, and the next sync replaces what it can; a disk that rots is to be replaced",
  })
}

async function repairAll(session: Session, disk: Disk, damaged: readonly DamagedObject[], to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  for (const [, objects] of Map.groupBy(damaged, runKey)) {
    const [first] = objects
    if (first === undefined) continue
    const { source, run } = first
    const wanted = { source, run, objects: new Map(objects.map((each) => [each.name, each])) }
    const made = await repair(disk, wanted, to, session.io.signal)
    for (const { name } of objects) {
      const how = made.includes(name) ? `REPAIRED  ${to}/` : "cannot be repaired:  "
      session.say(`${how}backup/${source}/${run}/${name}`)
      session.event({ event: "repair", object: `backup/${source}/${run}/${name}`, repaired: made.includes(name) })
    }
  }
  session.say(`Restore with both: --archive ${disk.path} --media ${to}`)
}

async function record(session: Session, disk: Disk, result: ScrubResult, key: unknown): Promise<void> {
  const trust = await session.trust()
  const store = await session.store()
  const { signal, now } = session.io
  const signer = session.personSigner(await session.operatorKey(trust, key))
  const before = foldStatements(await readStatements(trust, [disk.store, store], signal)).get(disk.identity.medium)
  const { policy = 0, expiries = 0, erasures = 0, heads = [], mates = [] } = before?.last ?? {}
  const statement = makeStatement({
    ...{ identity: disk.identity, action: "scrub", operator: signer.fingerprint, now: now(), before: before ?? null },
    ...(await spaceOf(disk.path)),
    ...{ mates, policy, expiries, erasures, heads, runs: result.runs, problems: result.problems.length },
  })
  await publishStatement(statement, statementId(session), signer, [store], signal)
  session.say("What was found is stated in the archive.")
}
