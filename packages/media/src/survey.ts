// What an archive has, by one listing: for each run its signatures, and how many sealed objects and bytes there are. That is
// enough to see that nothing of a known run went or grew, without holding a name for each of a million objects.

import { parseRunObject, parseRunPath } from "@backup-cloud/format"
import type { ArchiveReader } from "@backup-cloud/store"
import type { ListedRun } from "@backup-cloud/trust"
import { runKey } from "./memory.ts"

export interface SurveyedRun extends ListedRun {
  readonly source: string
  /** Sealed objects with names of the format, and their bytes. */
  readonly objects: number
  readonly bytes: number
  /** Bytes of receipts, sums and signatures, as they lie in blocks of a disk. */
  readonly receipts: number
}

/** What a file takes of a disk: whole blocks, and about one for its inode and its name. */
export function onDisk(bytes: number): number {
  return (Math.ceil(bytes / BLOCK) + 1) * BLOCK
}
const BLOCK = 4_096

interface Counting {
  readonly source: string
  readonly run: string
  readonly arrived: Map<number, Date>
  objects: number
  bytes: number
  receipts: number
}

/** Every run that has a name below `backup/`, by `runKey`. */
export async function survey(reader: ArchiveReader, signal: AbortSignal): Promise<Map<string, SurveyedRun>> {
  const runs = new Map<string, Counting>()
  for await (const { name, size, arrived } of reader.list("backup/", signal)) {
    const path = parseRunPath(name)
    const object = path === null ? null : parseRunObject(path.base)
    if (path === null || object === null) continue
    const key = runKey(path)
    let run = runs.get(key)
    if (run === undefined) {
      run = { source: path.source, run: path.run, arrived: new Map(), objects: 0, bytes: 0, receipts: 0 }
      runs.set(key, run)
    }
    if (object.kind === "receipt" || object.kind === "sums" || object.kind === "signature") {
      run.receipts += onDisk(size)
      if (object.kind === "signature") run.arrived.set(object.number, arrived)
    } else {
      run.objects++
      run.bytes += size
    }
  }
  return runs
}

/** The highest number of which there is a signature; 0 for a run that is not committed. */
export function highest({ arrived }: ListedRun): number {
  return Math.max(0, ...arrived.keys())
}
