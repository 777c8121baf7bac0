// A run's files as a restore gets them: out of an archive, verified as they are read.

import { randomBytes } from "node:crypto"
import { fromByteString } from "@backup-cloud/format"
import type { Machine } from "../../backup/test/machine.ts"
import { catalogueEntries, fileContent, openRoot } from "../../restore/src/index.ts"
import { signal } from "../../trust/test/archive.ts"
import type { PostgresEvent, PostgresRestoreOptions, RestoredFile } from "../src/index.ts"
import type { Cluster } from "./cluster.ts"

/** @param wanted of all files, by path */
export function filesOf(
  machine: Machine,
  which = "latest",
  wanted: (path: string) => boolean = () => true,
): () => AsyncGenerator<RestoredFile> {
  return async function* () {
    const view = await machine.view(machine.store, which)
    for await (const entry of catalogueEntries(view, await openRoot(view, signal), signal)) {
      const path = fromByteString(entry.path)
      if (entry.type === "f" && wanted(path))
        yield { path, size: entry.size, content: () => fileContent(view, entry, signal) }
    }
  }
}

/** Options of a restore by the role `restorer`, and the events that come of it. */
export function restoring(
  cluster: Cluster,
  path = "/",
  more: Partial<PostgresRestoreOptions> = {},
): { options: PostgresRestoreOptions; events: PostgresEvent[] } {
  const events: PostgresEvent[] = []
  const onEvent = (event: PostgresEvent): unknown => events.push(event)
  const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
  const url = cluster.url(path, "restorer")
  return { options: { ...cluster.access(path), url, intoExisting: false, random, onEvent, ...more }, events }
}
