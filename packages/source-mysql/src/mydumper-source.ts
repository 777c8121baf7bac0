// A server whose rows mydumper dumps, and all the rest the dump program: files of rows are entries as mydumper closes them,
// numbered in that order. Definitions are read before and after in no transaction; that they fit the rows is looked at in the end.

import { BackupError, pathKey, type SourceEntry } from "@backup-cloud/format"
import { codeDump, TablesDump, usersDump } from "./dump.ts"
import { entryMaker, factsText } from "./entries.ts"
import { findMydumper } from "./mydumper.ts"
import { FACTS, FOLDERS, ROWS_FOLDER, rowsPath, USERS } from "./paths.ts"
import { RowsDump } from "./rows-dump.ts"
import type { ServerFacts } from "./server.ts"
import type { MysqlSourceOptions } from "./source.ts"
import { byContent } from "./table-rows.ts"
import { checkSame, tablesOf } from "./tables.ts"
import type { FoundTool } from "./tool.ts"

export interface MydumperOptions {
  /** Tables that are dumped at the same time. */
  readonly threads: number
  /** Bytes of rows that may lie in memory before they are read; 256 MiB unless given. */
  readonly limit?: number
  /** Milliseconds after which a mydumper that does nothing is ended; two minutes unless given. */
  readonly still?: number
}

const LIMIT = 268_435_456
/** What makes the dump program leave rows out. */
export const DEFINITIONS = ["--no-data"]

export interface ByMydumper {
  readonly client: FoundTool
  readonly tool: FoundTool
  readonly facts: ServerFacts
  readonly options: MysqlSourceOptions
  readonly mydumper: MydumperOptions
  readonly signal: AbortSignal
}

/** Throws `refused` without the right to hold all writing for a moment, and for names that mydumper cannot take. */
export async function* entriesByMydumper(o: ByMydumper): AsyncGenerator<readonly SourceEntry[], void, undefined> {
  const { client, tool, facts, options, mydumper, signal } = o
  const { schemas } = facts
  const program = await findMydumper(options.path)
  if (!facts.canLock)
    throw new BackupError("refused", "this user has no right to RELOAD, which mydumper needs; nothing was backed up", {
      hint: "GRANT RELOAD ON *.* to the user itself, or leave dump=mydumper out of the URL",
    })
  const before = await tablesOf(client, options, schemas, signal)
  const { folder, file, eachSchema } = entryMaker(options.now(), schemas)
  const unseen = { ...facts, hasPosition: false }
  const definitions = new TablesDump(tool, options, unseen, DEFINITIONS)
  const rows =
    schemas.length === 0
      ? null
      : await RowsDump.start({
          ...{ tool: program, access: options, tables: before.columns.keys(), endsPart: byContent, signal },
          chosen: { schemas, skip: before.sequences, threads: mydumper.threads },
          limit: mydumper.limit ?? LIMIT,
          ...(mydumper.still === undefined ? {} : { still: mydumper.still }),
        })
  try {
    yield [folder("."), ...(schemas.length > 0 ? [folder(FOLDERS.definitions)] : [])]
    yield eachSchema("definitions", (schema, s) => definitions.part(schema, false, s))
    if (rows !== null) yield [folder(ROWS_FOLDER)]
    let number = 0
    for await (const files of rows?.files() ?? []) {
      yield files.map((each) => file(rowsPath(++number, each.schema, each.table), () => rows?.read(each) ?? nothing()))
      yield []
    }
    await definitions.stop()
    const views = new TablesDump(tool, options, unseen, DEFINITIONS)
    const same = async (): Promise<void> => {
      checkSame(before, await tablesOf(client, options, schemas, signal))
    }
    const everything = options.schemas.length === 0 && tool.flavour === "mariadb"
    const rest = [
      ...(schemas.length > 0 ? [folder(FOLDERS.code), folder(FOLDERS.views)] : []),
      ...eachSchema("code", (schema, s) => codeDump(tool, options, schema, s)),
      ...eachSchema("views", (schema, s) => viewsOf(views, schemas, schema, s)),
      ...(everything ? [file(USERS, (s) => usersDump(tool, options, s))] : []),
      file(FACTS, () => checkedFacts(facts, [tool, program], rows, same)),
    ]
    yield rest.sort((a, b) => (pathKey(a.path) < pathKey(b.path) ? -1 : 1))
    yield []
  } finally {
    await definitions.stop()
    await rows?.[Symbol.asyncDispose]()
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** The views of a schema, from a dump whose tables are left out. */
async function* viewsOf(
  dump: TablesDump,
  schemas: readonly string[],
  schema: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const rest = schema === schemas[0] ? schemas : []
  for (const each of rest) {
    const tables = dump.part(each, false, signal)
    while ((await tables.next()).done !== true);
  }
  yield* dump.part(schema, schema === schemas.at(-1), signal)
}

async function* checkedFacts(
  facts: ServerFacts,
  tools: readonly FoundTool[],
  rows: RowsDump | null,
  check: () => Promise<void>,
): AsyncGenerator<Uint8Array, void, undefined> {
  await check()
  const { stats = new Map(), position = null, gtid = null } = rows ?? {}
  yield* factsText(facts, tools, { tables: stats, position, gtid })
}
