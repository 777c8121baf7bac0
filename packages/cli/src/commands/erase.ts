// erase: what must not come back is recorded, listed, and said again for people who came later.

import { readFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { addErasure, type ErasureDraft, keptErasures, type Recording, renewErasures } from "@backup-cloud/erasure"
import { BackupError, type Erasure, escapeControl, fromByteString, percentDecode } from "@backup-cloud/format"
import { gpgPrivateOpener } from "@backup-cloud/openpgp/open-private"
import { gpgSealer } from "@backup-cloud/openpgp/seal"
import { openErasures } from "@backup-cloud/restore"
import type { Trust } from "@backup-cloud/trust"
import type { Command } from "commander"
import { erasedNames } from "../erase-names.ts"
import { describeLying, whereItLies } from "../erase-runs.ts"
import { collect, listOf } from "../options.ts"
import type { Register } from "../program.ts"
import type { Session } from "../session.ts"

type Options = Readonly<Record<string, unknown>>

export function addEraseCommands(root: Command, register: Register): void {
  const erase = root.command("erase").description("data that must not come back from a backup")
  register(
    erase,
    "add <source>",
    "record that some data must not come back",
    async (session, [source = ""], options) => {
      await add(session, source, options)
    },
  )
    .option("--path <glob>", "files or directories with all that is in them; repeat", collect)
    .option("--parameter <name>", "of SSM, by its name; repeat", collect)
    .option(
      "--key <key>",
      "an object of S3 by its key below the source's prefix, and its older versions; repeat",
      collect,
    )
    .option("--sql <file>", "SQL that deletes rows, run after each restore of the database")
    .option("--database <name>", "the database that the SQL is for")
    .option("--until <time>", "from runs begun until then, such as 2026-11-24T12:00:00Z; now unless given")
    .option("--always", "from all runs, also those that are yet to come")
    .requiredOption("--reason <text>", "why; operators and holders read it")
    .option("--ticket <text>", "number of the case it belongs to")
  register(erase, "list", "what must not come back, and in which runs it still lies", async (session, _, options) => {
    await list(session, options)
  }).option("--release <file>", "look into the runs that this opens; repeat", collect)
  register(erase, "renew", "say every record again for the operators and holders there are now", async (session) => {
    await renew(session)
  })
}

async function recording(session: Session, trust: Trust): Promise<Recording> {
  return {
    store: await session.store(),
    trust,
    home: session.memory,
    kept: keptErasures(join(session.home, "erasures")),
    sealer: gpgSealer(await session.gpgHome()),
    signer: session.personSigner(trust.administrator.fingerprint),
    now: session.io.now(),
    signal: session.io.signal,
  }
}

async function add(session: Session, source: string, options: Options): Promise<void> {
  const draft = await draftOf(session, await session.trust(), source, options)
  for (const line of described(draft)) session.say(line)
  await session.confirm("Record that this must not come back? It cannot be taken back.")
  // Again, since somebody thought for a while.
  const trust = await session.trust()
  const number = await addErasure(await recording(session, trust), draft)
  session.say(
    `Erasure ${number} is recorded: restores leave it out from now on. What is stored stays until it expires.`,
  )
  session.event({ event: "erasure", number })
}

async function draftOf(session: Session, trust: Trust, source: string, options: Options): Promise<ErasureDraft> {
  const named = [...trust.policies.values()].flatMap(({ sources }) => sources).filter(({ name }) => name === source)
  const kind = named.at(-1)?.kind
  if (kind === undefined)
    throw new BackupError("usage", `no policy ever named a source ${escapeControl(source)}; nothing was recorded`, {
      hint: "backup-cloud policy show lists the sources",
    })
  const given = {
    paths: listOf(options, "path"),
    parameters: listOf(options, "parameter"),
    keys: listOf(options, "key"),
  }
  const { sql, database } = options
  if ((sql === undefined) !== (database === undefined))
    throw new BackupError("usage", "--sql and --database go together; nothing was recorded")
  if (options["always"] === true && options["until"] !== undefined)
    throw new BackupError("usage", "--always and --until cannot both be meant; nothing was recorded")
  return {
    source,
    until: options["always"] === true ? "" : ((options["until"] as string | undefined) ?? null),
    ...(await erasedNames(kind, given)),
    sql: typeof sql === "string" ? (await readSql(resolve(session.io.cwd, sql))).toString("base64") : "",
    database: typeof database === "string" ? database : "",
    reason: options["reason"] as string,
    ticket: (options["ticket"] as string | undefined) ?? "",
    replaces: [],
  }
}

async function readSql(path: string): Promise<Buffer> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new BackupError("usage", `${escapeControl(path)}: cannot be read; nothing was recorded`, { cause })
  })
  if (bytes.length > 0) return bytes
  throw new BackupError("usage", `${escapeControl(path)}: is empty; nothing was recorded`)
}

/** What a record, or a draft of one, leaves out, a line each. */
function described({ source, until, paths, files, sql, database, reason, ticket }: ErasureDraft): string[] {
  const lines = [
    `  source   ${source}, runs begun ${until === "" ? "at any time" : `until ${until ?? "now"}`}`,
    ...paths.map((path) => `  path     ${path}`),
    ...files.map((file) => `  file     ${fromByteString(percentDecode(file) ?? "")}`),
    ...(sql === "" ? [] : [`  SQL      ${Buffer.from(sql, "base64").length} bytes, for the database ${database}`]),
    `  reason   ${reason}${ticket === "" ? "" : ` (${ticket})`}`,
  ]
  return lines.map(escapeControl)
}

async function list(session: Session, options: Options): Promise<void> {
  const { signal } = session.io
  const trust = await session.trust()
  const sealed = await session.erasures(trust)
  const opener = gpgPrivateOpener(session.person())
  const records = await openErasures(sealed, trust.archive.archive, opener, signal)
  if (records.length === 0) session.say("No erasure is recorded.")
  const lying = await whereItLies(session, trust, records, options)
  for (const [record, places] of lying) {
    session.say(`Erasure ${record.number}, recorded ${record.created}${renewal(record)}`)
    for (const line of [...described(record), ...describeLying(places)]) session.say(line)
    const { number, created, source, until, paths, files, database, reason, ticket, replaces } = record
    session.event({
      ...{ event: "erasure", number, created, source, until, paths, files, database, reason, ticket, replaces },
      ...places,
    })
  }
  session.event({ event: "result", erasures: sealed.length, inForce: records.length })
}

const renewal = ({ replaces }: Erasure): string => (replaces.length > 0 ? `, says ${replaces.join(", ")} again` : "")

async function renew(session: Session): Promise<void> {
  const trust = await session.trust()
  const renewed = await renewErasures(await recording(session, trust))
  for (const [before, number] of renewed) session.say(`Erasure ${before} is said again as ${number}.`)
  if (renewed.size === 0) session.say("All records are sealed to those who are present; nothing was said again.")
  session.event({ event: "result", renewed })
}
