// What a server has already, and a restore must not change.

import { toByteString } from "@backup-cloud/format"
import type { Server } from "./server.ts"
import { Session } from "./session.ts"

/** A session of a database that is always there, wherever content goes. */
export async function openMaintenance(server: Server, signal: AbortSignal): Promise<Session> {
  return await Session.open(server, "postgres", signal)
}

/** Names of roles and tablespaces are byte strings, as they stand in a globals.sql. */
export interface There {
  readonly databases: ReadonlySet<string>
  readonly roles: ReadonlySet<string>
  readonly tablespaces: ReadonlySet<string>
}

export async function lookAround(server: Server, signal: AbortSignal): Promise<There> {
  await using session = await openMaintenance(server, signal)
  const names = async (column: string, catalogue: string): Promise<string[]> =>
    (await session.ask(`select jsonb_agg(${column}) from ${catalogue}`)) as string[]
  return {
    databases: new Set(await names("datname", "pg_database")),
    roles: new Set((await names("rolname", "pg_roles")).map(toByteString)),
    tablespaces: new Set((await names("spcname", "pg_tablespace")).map(toByteString)),
  }
}

/** Whether a database holds nothing but what every new one has, whose numbers are below FirstNormalObjectId. */
export async function isEmpty(server: Server, database: string, signal: AbortSignal): Promise<boolean> {
  await using session = await Session.open(server, database, signal)
  const own = ["class", "proc", "type", "namespace", "extension", "largeobject_metadata"].map(
    (catalogue) => `exists (select from pg_${catalogue} where oid >= 16384)`,
  )
  return (await session.ask(`select to_jsonb(not (${own.join(" or ")}))`)) as boolean
}
