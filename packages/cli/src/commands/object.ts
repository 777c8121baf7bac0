// One sealed file at a time: request and restore of what a script sealed or an earlier system left, and the administrator's
// record of the latter. A file is given by its path here, or, if an earlier system left it, by its name in the archive.

import { createReadStream } from "node:fs"
import { basename, resolve } from "node:path"
import { BackupError, escapeControl, type Handed, isFault, RECORDED } from "@backup-cloud/format"
import { gpgSessionKeyOpener } from "@backup-cloud/openpgp/open-session"
import { makeHandedRequest } from "@backup-cloud/restore"
import { type JudgedRun, recordHanded, type Trust } from "@backup-cloud/trust"
import { describeSealed, type SealedFile } from "backup-cloud/parts/handed"
import { expectAbsent, makeWhole } from "backup-cloud/parts/named"
import { openReleases } from "backup-cloud/parts/releases"
import type { Command } from "commander"
import { size } from "../io.ts"
import { listOf } from "../options.ts"
import type { Register } from "../program.ts"
import { changePolicy } from "../publish.ts"
import type { Session } from "../session.ts"

const BACKUP = "backup/"
/** What this system puts there: everything else was left by an earlier one. */
const OWN = /^backup\/[a-z0-9][a-z0-9-]{0,62}\/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\//

export function addHandedCommands(root: Command, register: Register): void {
  const handed = root.command("handed").description("sealed files that an earlier system left below backup/")
  register(handed, "list", "what there is, and what the policy records", async (session) => {
    const { policy } = await session.trust()
    const recorded = new Set((policy.handed ?? []).map(({ file }) => file))
    const store = await session.store()
    let count = 0
    for await (const { name, size: bytes, arrived } of store.list(BACKUP, session.io.signal)) {
      if (OWN.test(name)) continue
      const known = recorded.has(name)
      session.say(
        `${arrived.toISOString()} ${size(bytes).padStart(10)}  ${known ? "recorded" : "-       "}  ${escapeControl(name)}`,
      )
      session.event({ event: "object", name, bytes, arrived: arrived.toISOString(), recorded: known })
      count++
    }
    session.event({ event: "result", objects: count })
  })
  register(handed, "record <names...>", "let key holders release these, from now on", async (session, names) => {
    const files: Handed[] = []
    for (const name of names) {
      if (!name.startsWith(BACKUP) || OWN.test(name))
        throw new BackupError(
          "usage",
          `${escapeControl(name)} is nothing that an earlier system left; nothing was recorded`,
          {
            hint: "backup-cloud handed list shows what is",
          },
        )
      const { file, sha256, pkesk } = await readSealed(session, name)
      files.push({ file, sha256, pkesk })
    }
    await changePolicy(session, [recordHanded(files)], [], undefined)
  })
}

interface Found {
  readonly trust: Trust
  readonly file: Handed
  readonly sealed: SealedFile
  /** The run whose receipt records it; `null` if the policy does. */
  readonly run: JudgedRun | null
}

/** Asks for the session key of one file. @param ask what every request says */
export async function objectRequest(
  session: Session,
  name: string,
  ask: Omit<Parameters<typeof makeHandedRequest>[0], "trust" | "reader" | "file" | "pkesks" | "run" | "operator"> & {
    readonly key: unknown
  },
): Promise<{ message: Uint8Array; run: string }> {
  const { trust, file, sealed, run } = await find(session, name)
  const reader = await session.store()
  const operator = session.personSigner(await session.operatorKey(trust, ask.key))
  const { pkesks } = sealed
  // Which says nothing of the file, and tells the holder's tool that this is no older state of the archive.
  const erasures = (await session.erasures(trust)).length
  return {
    message: await makeHandedRequest({ ...ask, trust, reader, file, pkesks, run, operator, erasures }),
    run: run?.run ?? RECORDED.run,
  }
}

/** Opens one file with a release, into a new one. */
export async function restoreObject(
  session: Session,
  name: string,
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { signal } = session.io
  if (typeof options["to"] !== "string")
    throw new BackupError("usage", "say where to put the file: --to FILE; nothing was restored")
  const to = resolve(session.io.cwd, options["to"])
  await expectAbsent(to)
  const { trust, sealed, run } = await find(session, name)
  const about = run ?? { ...RECORDED, receipt: { check: "" } }
  const releases = await openReleases(session, trust, about, { files: listOf(options, "release"), key: options["key"] })
  const line = releases
    .flatMap(({ release }) => (release.kind === "object" ? release.secrets : []))
    .find((secret) => secret.startsWith(`${about.run} ${sealed.pkesk} `))
  const key = line?.split(" ")[2]
  if (key === undefined) {
    throw new BackupError("refused", `no release given opens ${escapeControl(name)}; nothing was restored`, {
      hint: `ask for one: backup-cloud request --object ${escapeControl(name)} --reason … --out …`,
    })
  }
  const opener = gpgSessionKeyOpener(await session.gpgHome())
  const bytes = await makeWhole(to, session.io.random, async (output) => {
    let length = 0
    for await (const piece of opener.open(contentOf(session, name), key, signal)) {
      await output.writeFile(piece)
      length += piece.length
    }
    return length
  })
  session.say(`Restored ${size(bytes)} to ${to}.`)
  session.event({ event: "result", file: to, bytes })
}

/** The file, and what records it. Throws `not-found` if nothing does, `tampered` if what does says other bytes. */
async function find(session: Session, name: string): Promise<Found> {
  const sealed = await readSealed(session, name)
  const trust = await session.trust()
  const matching = (list: readonly Handed[]): Handed | undefined => list.find((each) => each.pkesk === sealed.pkesk)
  const checked = (file: Handed, run: JudgedRun | null): Found => {
    if (file.sha256 === sealed.sha256) return { trust, file, sealed, run }
    throw new BackupError("tampered", `${escapeControl(name)} is not the file that was recorded: its bytes differ`, {
      hint: "look for another copy of it",
    })
  }
  const recorded = matching(trust.policy.handed ?? [])
  if (recorded !== undefined) return checked(recorded, null)
  for (const source of trust.policy.sources) {
    for (const run of (await session.runs(trust, source.name)).runs.toReversed()) {
      const file = matching(run.receipt.handed)
      if (file !== undefined) return checked(file, run)
    }
  }
  throw new BackupError("not-found", `no receipt and no policy records ${escapeControl(name)}; it cannot be released`, {
    hint: "what backup-cloud seal made is recorded by the next run there; what an earlier system left, by backup-cloud handed record",
  })
}

async function readSealed(session: Session, name: string): Promise<SealedFile> {
  const recorded = name.startsWith(BACKUP) ? name : basename(name)
  return await describeSealed(recorded, contentOf(session, name))
}

async function* contentOf(session: Session, name: string): AsyncGenerator<Uint8Array> {
  const path = resolve(session.io.cwd, name)
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 })
  } catch (cause) {
    if (!(cause instanceof Error) || !("code" in cause)) throw cause
    if (cause.code !== "ENOENT") throw new BackupError("usage", `${escapeControl(name)} cannot be read`, { cause })
    if (!name.startsWith(BACKUP)) throw new BackupError("not-found", `${escapeControl(name)} is not there`, { cause })
    try {
      yield* (await session.store()).read(name, session.io.signal)
    } catch (error) {
      if (!isFault(error, "not-found")) throw error
      throw new BackupError("not-found", `${escapeControl(name)} is neither here nor in the archive`, { cause: error })
    }
  }
}
